// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <string>
#include <vmm/error.hpp>

namespace vmm {

/// All that a file holds, of any kind but a directory: configuration, statistics. Errors name the
/// file: what open(2) and read(2) say.
Result<std::string> read_text_file(const std::string& path);

}  // namespace vmm
