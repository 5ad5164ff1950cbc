// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vector>
#include <vmm/block/image.hpp>
#include <vmm/machine/config.hpp>

namespace vmm::detail {

/// The images of all disks, open and locked. Errors begin with "disk: ", then as Image::open()'s.
Result<std::vector<block::Image>> open_images(const MachineConfig& config);

}  // namespace vmm::detail
