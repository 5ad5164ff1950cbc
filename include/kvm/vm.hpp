// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/device.hpp>
#include <kvm/flex_array.hpp>
#include <kvm/guest_memfd.hpp>
#include <kvm/memslot.hpp>
#include <kvm/stats.hpp>
#include <kvm/vcpu.hpp>
#include KVM_ARCH_VM

namespace kvm {

/// KVM_SET_GSI_ROUTING's argument.
using GsiRouting = FlexArray<IrqRouting, IrqRoutingEntry, &IrqRouting::nr>;

/// A virtual machine: memory slots, interrupt controllers, devices, vCPUs. Move-only. The kernel
/// keeps it as long as this, one of its vCPUs or one of its devices lives. Every method may be
/// called from several threads at once.
class Vm final : public arch::VmOps {
public:
    /// Takes over a descriptor that KVM_CREATE_VM gave, unseen: Kvm::adopt_vm() looks whether it is
    /// one, and finds `vcpu_mmap_size`.
    Vm(Fd fd, std::size_t vcpu_mmap_size)
        : VmOps(static_cast<Fd&&>(fd)), vcpu_mmap_size_(vcpu_mmap_size) {}

    /// A vCPU. KVM_CREATE_VCPU. Errors: EEXIST (the id is taken), EINVAL (beyond cap::max_vcpu_id),
    /// ENOMEM, EMFILE.
    Result<Vcpu> create_vcpu(VcpuId id) const {
        const long fd = detail::raw_ioctl(fd_, op::create_vcpu.request, static_cast<u32>(id));
        if (fd < 0) [[unlikely]] {
            return Result<Vcpu>(std::unexpect, op::create_vcpu.name, static_cast<int>(-fd),
                                static_cast<u32>(id));
        }
        return Vcpu::map(Fd(static_cast<int>(fd)), vcpu_mmap_size_);
    }

    /// Gives the guest `memory` at `address`. The memory is borrowed: it must stay mapped until
    /// remove_memory() or the VM's end. Address, memory and size are multiples of the page size.
    /// The token is what the dirty log and remove_memory() want. KVM_SET_USER_MEMORY_REGION. Needs
    /// cap::user_memory; cap::readonly_mem for MemFlag::readonly.
    /// Errors, with the slot as `detail`: EEXIST (it overlaps another, or the slot is in use),
    /// EINVAL (alignment, or a slot beyond cap::nr_memslots), EFAULT (arm64: beyond the guest's
    /// address bits), ENOMEM.
    Result<Memslot> add_memory(Slot slot, Gpa address, std::span<std::byte> memory,
                               Flags<MemFlag> flags = {}) const {
        constexpr auto op = op::set_user_memory_region;
        long answer = -slots_.take(slot);
        if (answer == 0) [[likely]] {
            const UserspaceMemoryRegion region{static_cast<u32>(slot), flags.bits(),
                                               address.value(), memory.size(),
                                               reinterpret_cast<u64>(memory.data())};
            answer = detail::raw_ioctl(fd_, op.request, &region);
            if (answer >= 0) [[likely]] {
                return Memslot(slots_.vm(), slot, address, memory, flags);
            }
            slots_.drop(slot);
        }
        return Result<Memslot>(std::unexpect, op.name, static_cast<int>(-answer),
                               static_cast<u32>(slot));
    }
    /// Changes a slot's flags: starts or ends dirty logging. KVM_SET_USER_MEMORY_REGION. Errors,
    /// with the slot as `detail`: EINVAL (MemFlag::readonly changes: remove the slot and add it
    /// anew), EBADF (a token of another Vm, or one that is used up).
    Result<void> set_memory_flags(Memslot& slot, Flags<MemFlag> flags) const;
    /// Moves a slot to another address. KVM_SET_USER_MEMORY_REGION. Errors: EEXIST (overlap),
    /// EINVAL, EBADF.
    Result<void> move_memory(Memslot& slot, Gpa address) const;
    /// Takes memory away from the guest; on success the token is used up and the memory may be
    /// unmapped. KVM_SET_USER_MEMORY_REGION. Errors: EBADF (a token of another Vm, or one that is
    /// used up).
    Result<void> remove_memory(Memslot&& slot) const;
    /// The ioctl itself, for those who keep account of slots themselves. A size of 0 removes the
    /// slot. KVM_SET_USER_MEMORY_REGION. Errors, with the slot as `detail`: EEXIST (a Memslot has
    /// the slot, and would outlive it), and add_memory()'s.
    Result<void> set_user_memory_region(const UserspaceMemoryRegion& region) const {
        return set_untaken(op::set_user_memory_region, region);
    }
    /// The ioctl with guest_memfd. KVM_SET_USER_MEMORY_REGION2. Needs cap::user_memory2. Since 6.8.
    /// Errors, with the slot as `detail`: see set_user_memory_region().
    Result<void> set_user_memory_region2(const UserspaceMemoryRegion2& region) const {
        return set_untaken(op::set_user_memory_region2, region);
    }

    /// One bit for each page that was written since the last call, and the log starts anew (unless
    /// cap::manual_dirty_log_protect2 is enabled: then clear_dirty_log() does that).
    /// KVM_GET_DIRTY_LOG. Errors: EMSGSIZE (fewer than Memslot::bitmap_words()), ENOENT (the slot
    /// does not log), EINVAL, EBADF (a token of another Vm, or one that is used up).
    Result<void> dirty_log(const Memslot& slot, std::span<u64> bitmap) const;
    /// Logs the pages of the set bits anew. `first_page` is a multiple of 64, `pages` too unless it
    /// reaches the slot's end. KVM_CLEAR_DIRTY_LOG. Needs cap::manual_dirty_log_protect2.
    /// Errors: EMSGSIZE (a bitmap shorter than `pages`), EINVAL, ENOENT.
    Result<void> clear_dirty_log(const Memslot& slot, u64 first_page, u32 pages,
                                 std::span<const u64> bitmap) const;

    /// Protects the pages anew that every DirtyRing of the VM has harvested; how many. Read the
    /// pages after it. KVM_RESET_DIRTY_RINGS. Needs cap::dirty_log_ring or
    /// cap::dirty_log_ring_acq_rel. Since 5.11. Errors: EINVAL (not enabled).
    Result<u32> reset_dirty_rings() const { return call(fd_, op::reset_dirty_rings); }

    /// Memory of `size` bytes, page-aligned, that belongs to this VM. KVM_CREATE_GUEST_MEMFD. Needs
    /// cap::guest_memfd. Since 6.8. Errors: EINVAL (size, or a flag that cap::guest_memfd_flags
    /// lacks).
    Result<GuestMemfd> create_guest_memfd(u64 size, Flags<GuestMemfdFlag> flags = {}) const;
    /// Gives the guest `memory` for what it shares and `size of memory` bytes of `private_memory`
    /// from `offset` on for what it keeps private. KVM_SET_USER_MEMORY_REGION2 with
    /// MemFlag::guest_memfd. Needs cap::guest_memfd. Since 6.8. Errors, with the slot as `detail`:
    /// see the other add_memory(); EINVAL (the offset, or memory of another VM).
    Result<Memslot> add_memory(Slot slot, Gpa address, std::span<std::byte> memory,
                               const GuestMemfd& private_memory, u64 offset,
                               Flags<MemFlag> flags = {}) const;
    /// Makes a page-aligned range private to the guest or shared with the host.
    /// KVM_SET_MEMORY_ATTRIBUTES. Needs cap::memory_attributes. Since 6.8. Errors: EINVAL.
    Result<void> set_memory_attributes(Gpa address, u64 size,
                                       Flags<MemoryAttribute> attributes) const {
        const MemoryAttributes range{address.value(), size, attributes.bits(), 0};
        return call(fd_, op::set_memory_attributes, range);
    }

    /// The VM's statistics. KVM_GET_STATS_FD. Needs cap::binary_stats_fd. Since 5.14.
    Result<Stats> stats() const;

    /// Interrupt controllers in the kernel (x86_64: two PICs, an I/O APIC, local APICs), before the
    /// vCPUs. Without it, or with `enable(cap::split_irqchip, 24)`, the VMM has its own.
    /// KVM_CREATE_IRQCHIP. Needs cap::irqchip. Errors: EEXIST, EINVAL (there is a vCPU).
    Result<void> create_irqchip() const { return call(fd_, op::create_irqchip); }
    /// Sets the level of an interrupt line. KVM_IRQ_LINE. Needs cap::irqchip. Errors: ENXIO (none).
    Result<void> irq_line(Gsi gsi, Level level) const {
        IrqLevel line;
        line.irq = static_cast<u32>(gsi);
        line.level = static_cast<u32>(level);
        return call(fd_, op::irq_line, line);
    }
    /// The same, and what became of it: > 0 delivered to so many vCPUs, 0 coalesced with one that
    /// is pending, < 0 masked. KVM_IRQ_LINE_STATUS. Needs cap::irq_inject_status. Errors: ENXIO (no
    /// irqchip).
    Result<int> irq_line_status(Gsi gsi, Level level) const {
        IrqLevel line;
        line.irq = static_cast<u32>(gsi);
        line.level = static_cast<u32>(level);
        const auto done = call(fd_, op::irq_line_status, line);
        return done ? Result<int>(line.status) : std::unexpected(done.error());
    }
    /// Replaces the whole table of what each GSI is wired to. KVM_SET_GSI_ROUTING. Needs
    /// cap::irq_routing, whose value is the most entries. Errors: EINVAL, EMSGSIZE (a count beyond
    /// the capacity).
    Result<void> set_gsi_routing(const GsiRouting& routing) const {
        return detail::call_list(fd_, op::set_gsi_routing, routing);
    }
    /// Sends a message-signalled interrupt; true if a vCPU got it, false if it is blocked.
    /// KVM_SIGNAL_MSI. Needs cap::signal_msi. Errors: EINVAL (no irqchip, or a flag).
    Result<bool> signal_msi(const Msi& msi) const {
        const long vcpus = detail::raw_ioctl(fd_, op::signal_msi.request, &msi);
        if (vcpus < 0) [[unlikely]] {
            return fail(op::signal_msi.name, static_cast<int>(-vcpus));
        }
        return vcpus > 0;
    }

    /// Each write to `event` pulses the GSI. KVM_IRQFD. Needs cap::irqfd and an irqchip.
    /// Errors: EBUSY (the eventfd has a GSI), EINVAL (no eventfd), EBADF.
    Result<void> add_irqfd(FdRef event, Gsi gsi) const {
        return irqfd({static_cast<u32>(event.number()), static_cast<u32>(gsi), 0, 0, {}});
    }
    /// For level interrupts: a write to `event` raises the GSI; when the guest acknowledges it, the
    /// level falls and `resample` is signalled. KVM_IRQFD. Needs cap::irqfd_resample. Errors: see
    /// add_irqfd().
    Result<void> add_irqfd(FdRef event, Gsi gsi, FdRef resample) const {
        return irqfd({static_cast<u32>(event.number()),
                      static_cast<u32>(gsi),
                      static_cast<u32>(IrqfdFlag::resample),
                      static_cast<u32>(resample.number()),
                      {}});
    }
    /// Undoes add_irqfd(); nothing to undo is no error. KVM_IRQFD. Errors: EINVAL, EBADF.
    Result<void> remove_irqfd(FdRef event, Gsi gsi) const {
        return irqfd({static_cast<u32>(event.number()),
                      static_cast<u32>(gsi),
                      static_cast<u32>(IrqfdFlag::deassign),
                      0,
                      {}});
    }

    /// Guest writes to `address` that `match` signal `event` and do not exit. KVM_IOEVENTFD. Needs
    /// cap::ioeventfd; cap::ioeventfd_any_length for Datamatch::any_length().
    /// Errors: EEXIST (the same is there), EINVAL, ENOSPC, EBADF.
    Result<void> add_ioeventfd(FdRef event, IoAddress address, Datamatch match) const {
        return ioeventfd(event, address, match, {});
    }
    /// Undoes add_ioeventfd() of the same three. KVM_IOEVENTFD. Errors: ENOENT.
    Result<void> remove_ioeventfd(FdRef event, IoAddress address, Datamatch match) const {
        return ioeventfd(event, address, match, IoeventfdFlag::deassign);
    }

    /// Guest writes to `size` bytes at `address` are queued instead of exiting; CoalescedRing has
    /// them. KVM_REGISTER_COALESCED_MMIO. Needs cap::coalesced_mmio; cap::coalesced_pio for ports.
    /// Errors: ENOSPC (the VM's bus is full), EINVAL.
    Result<void> register_coalesced_mmio(IoAddress address, u32 size) const {
        return call(fd_, op::register_coalesced_mmio,
                    CoalescedMmioZone{address.value(), size, address.is_port() ? 1u : 0u});
    }
    /// Undoes it for every zone that contains these bytes; no such zone is no error.
    /// KVM_UNREGISTER_COALESCED_MMIO.
    Result<void> unregister_coalesced_mmio(IoAddress address, u32 size) const {
        return call(fd_, op::unregister_coalesced_mmio,
                    CoalescedMmioZone{address.value(), size, address.is_port() ? 1u : 0u});
    }

    /// A device in the kernel. KVM_CREATE_DEVICE. Needs cap::device_ctrl.
    /// Errors: ENODEV (no such type here), EEXIST, ENOMEM.
    Result<Device> create_device(DeviceType type) const;
    /// Whether create_device() knows the type. KVM_CREATE_DEVICE with KVM_CREATE_DEVICE_TEST.
    Result<bool> has_device(DeviceType type) const;

    /// Enables a capability for the whole VM. KVM_ENABLE_CAP. Needs cap::enable_cap_vm. What it
    /// takes, and when, is the capability's: most must be enabled before the vCPUs. Errors: EINVAL
    /// (this KVM lacks it or an argument, or not now), and the capability's own.
    template <class T, class... Args>
    Result<void> enable(VmCap<T, Args...> cap, std::type_identity_t<Args>... args) const {
        return detail::enable_cap(fd_, cap.number, args...);
    }
    /// The same by number, for a capability that is newer than this library. KVM_ENABLE_CAP.
    Result<void> enable_cap(int cap, u64 a = 0, u64 b = 0, u64 c = 0, u64 d = 0) const {
        return detail::enable_cap(fd_, cap, a, b, c, d);
    }

    /// The length of a vCPU's mapping in bytes, as asked when the Vm was made.
    /// KVM_GET_VCPU_MMAP_SIZE.
    std::size_t vcpu_mmap_size() const { return vcpu_mmap_size_; }

private:
    /// Whether the token is this VM's: good until its slot is removed.
    bool owns(const Memslot& slot) const { return slot.vm_ == slots_.vm() && slot.vm_ != 0; }
    Result<void> set_region(const Memslot& slot, const UserspaceMemoryRegion& region) const {
        constexpr auto op = op::set_user_memory_region;
        const long answer = owns(slot) ? detail::raw_ioctl(fd_, op.request, &region) : -EBADF;
        return detail::answer<void>(op.name, answer, region.slot);
    }
    /// For a slot that has no token, nor gets one meanwhile.
    template <class Region>
    Result<void> set_untaken(Ioctl<Region, Dir::in> op, const Region& region) const {
        long answer = -slots_.take(Slot(region.slot));
        if (answer == 0) [[likely]] {
            answer = detail::raw_ioctl(fd_, op.request, &region);
            slots_.drop(Slot(region.slot));
        }
        return detail::answer<void>(op.name, answer, region.slot);
    }
    Result<void> irqfd(const Irqfd& irqfd) const { return call(fd_, op::irqfd, irqfd); }
    Result<void> ioeventfd(FdRef event, IoAddress address, Datamatch match,
                           Flags<IoeventfdFlag> flags) const;

    mutable detail::SlotSet slots_;
    std::size_t vcpu_mmap_size_;
};

}  // namespace kvm
