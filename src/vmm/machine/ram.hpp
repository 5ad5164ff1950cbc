// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <span>
#include <vmm/machine/config.hpp>
#include <vmm/memory/guest_memory.hpp>
#include <vmm/pci/root.hpp>

/// A machine's RAM, as its configuration has it. Errors begin with the setting's name, where it is
/// one's fault.
namespace vmm::detail {

/// What can be said against it without making it.
Result<void> check_ram(const MachineConfig& config);

Result<GuestMemory> make_ram(const MachineConfig& config);

/// An error of making it or giving it to a VM, with the name of the setting if that was changed.
std::unexpected<Error> about_backing(const MachineConfig& config, Error error);

/// Has the host treat it as it is to. Once the VM has it: only then does all of it exist.
Result<void> tune_ram(const MachineConfig& config, const GuestMemory& memory);

/// Adds a region to a machine; errors: GuestMemory::add_region()'s, EINVAL (where devices are, or
/// may be: PCI's `windows`).
Result<void> plug_ram(GuestMemory& memory, const Region& region,
                      std::span<const pci::Range> windows);
/// Removes it. Errors: GuestMemory::remove_region()'s, EINVAL (it is of the `first_bytes` that the
/// machine started with).
Result<void> unplug_ram(GuestMemory& memory, kvm::Gpa address, std::uint64_t first_bytes);

}  // namespace vmm::detail
