// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/vm.hpp>

namespace kvm {

namespace {

/// A token is good for one VM, and until its slot is removed.
Result<void> check_slot(const char* what, const Fd& vm, int owner, const Memslot& slot) {
    if (owner != vm.number()) {
        return fail(what, EBADF, static_cast<u32>(slot.slot()));
    }
    return {};
}

UserspaceMemoryRegion region_of(const Memslot& slot, Gpa address, Flags<MemFlag> flags) {
    return {static_cast<u32>(slot.slot()), flags.bits(), address.value(), slot.memory().size(),
            reinterpret_cast<u64>(slot.memory().data())};
}

}  // namespace

Result<void> Vm::set_memory_flags(Memslot& slot, Flags<MemFlag> flags) const {
    auto done = check_slot(op::set_user_memory_region.name, fd_, slot.vm_, slot);
    if (done) {
        done = set_user_memory_region(region_of(slot, slot.address(), flags));
    }
    if (done) {
        slot.flags_ = flags;
    }
    return done;
}

Result<void> Vm::move_memory(Memslot& slot, Gpa address) const {
    auto done = check_slot(op::set_user_memory_region.name, fd_, slot.vm_, slot);
    if (done) {
        done = set_user_memory_region(region_of(slot, address, slot.flags()));
    }
    if (done) {
        slot.address_ = address;
    }
    return done;
}

Result<void> Vm::remove_memory(Memslot&& slot) const {
    auto done = check_slot(op::set_user_memory_region.name, fd_, slot.vm_, slot);
    if (done) {
        done = set_user_memory_region(
            {static_cast<u32>(slot.slot()), 0, slot.address().value(), 0, 0});
    }
    if (done) {
        slot.vm_ = -1;
    }
    return done;
}

Result<void> Vm::dirty_log(const Memslot& slot, std::span<u64> bitmap) const {
    const u32 id = static_cast<u32>(slot.slot());
    if (auto good = check_slot(op::get_dirty_log.name, fd_, slot.vm_, slot); !good) {
        return good;
    }
    if (bitmap.size() < slot.bitmap_words()) {
        return fail(op::get_dirty_log.name, EMSGSIZE, id);
    }
    return call(fd_, op::get_dirty_log, DirtyLog{id, 0, bitmap.data()});
}

Result<void> Vm::clear_dirty_log(const Memslot& slot, u64 first_page, u32 pages,
                                 std::span<const u64> bitmap) const {
    const u32 id = static_cast<u32>(slot.slot());
    if (auto good = check_slot(op::clear_dirty_log.name, fd_, slot.vm_, slot); !good) {
        return good;
    }
    if (bitmap.size() < (u64(pages) + 63) / 64) {
        return fail(op::clear_dirty_log.name, EMSGSIZE, id);
    }
    // The kernel only reads the bitmap.
    ClearDirtyLog argument{id, pages, first_page, const_cast<u64*>(bitmap.data())};
    return call(fd_, op::clear_dirty_log, argument);
}

Result<GuestMemfd> Vm::create_guest_memfd(u64 size, Flags<GuestMemfdFlag> flags) const {
    const auto fd = call(fd_, op::create_guest_memfd, CreateGuestMemfd{size, flags.bits(), {}});
    if (!fd) {
        return std::unexpected(fd.error());
    }
    return GuestMemfd(Fd(*fd), size);
}

Result<Memslot> Vm::add_memory(Slot slot, Gpa address, std::span<std::byte> memory,
                               const GuestMemfd& private_memory, u64 offset,
                               Flags<MemFlag> flags) const {
    flags |= MemFlag::guest_memfd;
    const auto done = set_user_memory_region2(
        {static_cast<u32>(slot), flags.bits(), address.value(), memory.size(),
         reinterpret_cast<u64>(memory.data()), offset,
         static_cast<u32>(private_memory.fd().number()), 0, {}});
    if (!done) {
        return std::unexpected(done.error());
    }
    return Memslot(fd_.number(), slot, address, memory, flags);
}

Result<Stats> Vm::stats() const {
    const auto fd = call(fd_, op::get_stats_fd);
    if (!fd) {
        return std::unexpected(fd.error());
    }
    return Stats::open(Fd(*fd));
}

Result<void> Vm::ioeventfd(FdRef event, IoAddress address, Datamatch match,
                           Flags<IoeventfdFlag> flags) const {
    const u32 n = match.length_;
    if (n != 0 && n != 1 && n != 2 && n != 4 && n != 8) {
        return fail(op::ioeventfd.name, EINVAL, n);
    }
    if (address.is_port()) {
        flags |= IoeventfdFlag::pio;
    }
    if (match.has_value_) {
        flags |= IoeventfdFlag::datamatch;
    }
    return call(fd_, op::ioeventfd,
                Ioeventfd{match.value_, address.value(), n, event.number(), flags.bits(), {}});
}

Result<Device> Vm::create_device(DeviceType type) const {
    CreateDevice argument{type, 0, 0};
    if (auto done = call(fd_, op::create_device, argument); !done) {
        return fail(op::create_device.name, done.error().code, static_cast<u32>(type));
    }
    return Device(Fd(static_cast<int>(argument.fd)));
}

Result<bool> Vm::has_device(DeviceType type) const {
    CreateDevice argument{type, 0, 1};
    const auto done = call(fd_, op::create_device, argument);
    if (done) {
        return true;
    }
    if (done.error().code == ENODEV) {
        return false;
    }
    return std::unexpected(done.error());
}

}  // namespace kvm
