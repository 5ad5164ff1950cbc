// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <span>
#include <vmm/machine/settings.hpp>

/// The settings by theme: a file for each, and a line in settings.cpp.
namespace vmm::detail {

std::span<const Setting> boot_settings();
std::span<const Setting> cpus_memory_settings();
std::span<const Setting> device_settings();
std::span<const Setting> net_settings();
std::span<const Setting> guest_device_settings();
std::span<const Setting> disk_settings();
std::span<const Setting> run_settings();

/// The parts of check(), by theme.
Result<void> check_cpus(const MachineConfig& config);
Result<void> check_devices(const MachineConfig& config);
Result<void> check_guest_devices(const MachineConfig& config);
Result<void> check_nets(const MachineConfig& config);

}  // namespace vmm::detail
