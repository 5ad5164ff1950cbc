// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/host/report.hpp>

/// What the host says of itself outside of KVM. `root` is put before /proc, /sys, /run and /lib.
namespace vmm::host {

Kernel read_kernel();
Found<Cpu> read_cpu(const std::string& root);
Found<Memory> read_memory(const std::string& root);
Process read_process(const std::string& root);
/// kvm and kvm_*, in order of name.
Found<std::vector<Module>> read_modules(const std::string& root);
/// The kvm modules on disk for this kernel.
Found<std::vector<std::string>> read_module_files(const std::string& root,
                                                  const std::string& release);
/// Which modules of other hypervisors are loaded.
std::vector<std::string> read_rivals(const std::string& root);
/// Whether KVM has registered its device with the kernel.
bool read_device_registered(const std::string& root);
/// All but the opening.
DeviceFile read_device_file(const std::string& path, const std::string& user_name);

}  // namespace vmm::host
