// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <kvm/abi/cap_flags.hpp>
#include <kvm/abi/common.hpp>
#include <kvm/guest_memfd.hpp>
#include <kvm/types.hpp>
#include <memory>
#include <span>

namespace kvm {
class Vm;
}

namespace vmm {

/// What a memory slot is to be.
struct SlotConfig {
    kvm::Slot slot{};
    kvm::Gpa address{};
    /// The host's memory, which stays mapped until the slot is removed.
    std::span<std::byte> memory;
    kvm::Flags<kvm::MemFlag> flags{};
    /// What the guest has in private, from its beginning; or null.
    const kvm::GuestMemfd* guest_memfd = nullptr;
};

/// The memory slots of a VM, as GuestMemory needs them: the seam between it and KVM. A fake VM
/// derives from it to record what is asked, or to refuse it. Errors are those of the ioctl that is
/// named; what failed changed nothing. GuestMemory calls from one thread at a time.
class MemorySlots {
public:
    MemorySlots() = default;
    MemorySlots(const MemorySlots&) = delete;
    MemorySlots& operator=(const MemorySlots&) = delete;
    virtual ~MemorySlots() = default;

    /// How many slots the VM can have; they count from 0. cap::nr_memslots.
    virtual kvm::Result<std::uint32_t> limit() = 0;
    /// Fills an empty slot. KVM_SET_USER_MEMORY_REGION, or 2 with a guest_memfd.
    virtual kvm::Result<void> add(const SlotConfig& config) = 0;
    /// Changes a slot's flags: starts or ends dirty logging. KVM_SET_USER_MEMORY_REGION.
    virtual kvm::Result<void> set_flags(kvm::Slot slot, kvm::Flags<kvm::MemFlag> flags) = 0;
    /// Empties a slot; its memory may then be unmapped. KVM_SET_USER_MEMORY_REGION.
    virtual kvm::Result<void> remove(kvm::Slot slot) = 0;
    /// One bit for each page of 4096 bytes that the guest wrote since the last call, and the log
    /// starts anew. `bitmap` is as long as the slot. KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG.
    virtual kvm::Result<void> dirty_log(kvm::Slot slot, std::span<std::uint64_t> bitmap) = 0;
    /// Memory of the VM's own. KVM_CREATE_GUEST_MEMFD.
    virtual kvm::Result<kvm::GuestMemfd> create_guest_memfd(
        std::uint64_t size, kvm::Flags<kvm::GuestMemfdFlag> flags) = 0;
};

/// What KVM_GET_DIRTY_LOG does of a VM: `clears` unless cap::manual_dirty_log_protect2 was enabled.
enum class DirtyLogMode : std::uint8_t { clears, manual_protect };

/// The slots of a VM of KVM's. Keeps the VM, but none of its vCPUs, alive. Errors: EMFILE.
kvm::Result<std::shared_ptr<MemorySlots>> kvm_slots(const kvm::Vm& vm,
                                                    DirtyLogMode mode = DirtyLogMode::clears);

}  // namespace vmm
