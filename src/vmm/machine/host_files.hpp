// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <string>
#include <vector>
#include <vmm/block/image.hpp>
#include <vmm/device/fw_cfg.hpp>
#include <vmm/machine/config.hpp>

namespace vmm::detail {

/// Files of the host's that a configuration names, beside the kernel's.
struct HostFiles {
    std::vector<block::Image> disks;          ///< the disks' images, open and locked
    std::vector<FwCfgContents::File> fw_cfg;  ///< the contents of files for the guest
};

/// All of `config`. Errors, about their settings: block::Image::open()'s, Image::open()'s.
Result<HostFiles> open_files(const MachineConfig& config);

/// A regular file's content; `what` it is, for errors. Errors: Image's.
Result<std::vector<std::byte>> read_whole(const std::string& path, const char* what);

}  // namespace vmm::detail
