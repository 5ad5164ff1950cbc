// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <span>
#include <vmm/machine/settings.hpp>

/// The settings by theme: a file for each, and a line in settings.cpp.
namespace vmm::detail {

std::span<const Setting> boot_settings();
std::span<const Setting> cpus_memory_settings();
std::span<const Setting> device_settings();
std::span<const Setting> run_settings();

}  // namespace vmm::detail
