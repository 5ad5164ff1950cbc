// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vmm/machine/settings.hpp>

namespace vmm::detail {

/// read_config_file() of a file `path` that has this text, with these settings.
Result<SettingPlaces> read_config_text(MachineConfig& config, std::string_view text,
                                       const std::string& path, std::span<const Setting> settings);

}  // namespace vmm::detail
