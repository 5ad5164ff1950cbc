// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/vm.hpp>
#include <new>

namespace kvm {

namespace {

UserspaceMemoryRegion region_of(const Memslot& slot, Gpa address, Flags<MemFlag> flags) {
    return {static_cast<u32>(slot.slot()), flags.bits(), address.value(), slot.memory().size(),
            reinterpret_cast<u64>(slot.memory().data())};
}

}  // namespace

/// 512 slots, from a multiple of 512 on.
struct detail::SlotSet::Block {
    u32 first;
    Block* next;
    u64 words[8];
};

detail::SlotSet::Block* detail::SlotSet::find(u32 first) const {
    Block* block = __atomic_load_n(&more_, __ATOMIC_ACQUIRE);
    while (block && block->first != first) {
        block = block->next;
    }
    return block;
}

int detail::SlotSet::take_more(u32 slot) {
    const u32 first = slot / 512 * 512;
    Block* block = find(first);
    if (!block) {
        block = new (std::nothrow) Block{first, nullptr, {}};
        if (!block) {
            return ENOMEM;
        }
        block->next = __atomic_load_n(&more_, __ATOMIC_ACQUIRE);
        while (!__atomic_compare_exchange_n(&more_, &block->next, block, false, __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE)) {
            if (Block* theirs = find(first)) {  // another thread was faster
                delete block;
                block = theirs;
                break;
            }
        }
    }
    const u64 bit = u64(1) << slot % 64;
    return __atomic_fetch_or(&block->words[slot % 512 / 64], bit, __ATOMIC_RELAXED) & bit ? EEXIST
                                                                                          : 0;
}

void detail::SlotSet::drop_more(u32 slot) {
    if (Block* block = find(slot / 512 * 512)) {
        const u64 bit = u64(1) << slot % 64;
        __atomic_fetch_and(&block->words[slot % 512 / 64], ~bit, __ATOMIC_RELAXED);
    }
}

detail::SlotSet& detail::SlotSet::operator=(SlotSet&& other) noexcept {
    if (this != &other) {
        free_more();
        vm_ = other.vm_;
        low_ = other.low_;
        more_ = other.more_;
        other.vm_ = 0;
        other.more_ = nullptr;
    }
    return *this;
}

void detail::SlotSet::free_more() {
    while (Block* block = more_) {
        more_ = block->next;
        delete block;
    }
}

Result<void> Vm::set_memory_flags(Memslot& slot, Flags<MemFlag> flags) const {
    const auto done = set_region(slot, region_of(slot, slot.address(), flags));
    if (done) {
        slot.flags_ = flags;
    }
    return done;
}

Result<void> Vm::move_memory(Memslot& slot, Gpa address) const {
    const auto done = set_region(slot, region_of(slot, address, slot.flags()));
    if (done) {
        slot.address_ = address;
    }
    return done;
}

Result<void> Vm::remove_memory(Memslot&& slot) const {
    const auto done =
        set_region(slot, {static_cast<u32>(slot.slot()), 0, slot.address().value(), 0, 0});
    if (done) {
        slot.vm_ = 0;
        slots_.drop(slot.slot());
    }
    return done;
}

Result<void> Vm::dirty_log(const Memslot& slot, std::span<u64> bitmap) const {
    const u32 id = static_cast<u32>(slot.slot());
    const DirtyLog argument{id, 0, bitmap.data()};
    const long answer = !owns(slot) ? -EBADF
                        : bitmap.size() < slot.bitmap_words()
                            ? -EMSGSIZE
                            : detail::raw_ioctl(fd_, op::get_dirty_log.request, &argument);
    return detail::answer<void>(op::get_dirty_log.name, answer, id);
}

Result<void> Vm::clear_dirty_log(const Memslot& slot, u64 first_page, u32 pages,
                                 std::span<const u64> bitmap) const {
    const u32 id = static_cast<u32>(slot.slot());
    // The kernel only reads the bitmap.
    ClearDirtyLog argument{id, pages, first_page, const_cast<u64*>(bitmap.data())};
    const long answer = !owns(slot) ? -EBADF
                        : bitmap.size() < (u64(pages) + 63) / 64
                            ? -EMSGSIZE
                            : detail::raw_ioctl(fd_, op::clear_dirty_log.request, &argument);
    return detail::answer<void>(op::clear_dirty_log.name, answer, id);
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
    if (const int taken = slots_.take(slot)) {
        return fail(op::set_user_memory_region2.name, taken, static_cast<u32>(slot));
    }
    flags |= MemFlag::guest_memfd;
    const auto done = call(fd_, op::set_user_memory_region2,
                           {static_cast<u32>(slot),
                            flags.bits(),
                            address.value(),
                            memory.size(),
                            reinterpret_cast<u64>(memory.data()),
                            offset,
                            static_cast<u32>(private_memory.fd().number()),
                            0,
                            {}});
    if (!done) {
        slots_.drop(slot);
        return fail(done.error().what, done.error().code, static_cast<u32>(slot));
    }
    return Memslot(slots_.vm(), slot, address, memory, flags);
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
    if (match.kind_ != Datamatch::Kind::any && n != 1 && n != 2 && n != 4 && n != 8) {
        return Result<void>(std::unexpect, op::ioeventfd.name, EINVAL, n);
    }
    u32 bits = flags.bits();
    if (address.is_port()) {
        bits |= static_cast<u32>(IoeventfdFlag::pio);
    }
    if (match.kind_ == Datamatch::Kind::value) {
        bits |= static_cast<u32>(IoeventfdFlag::datamatch);
    }
    return call(fd_, op::ioeventfd,
                Ioeventfd{match.value_, address.value(), n, event.number(), bits, {}});
}

Result<Device> Vm::create_device(DeviceType type) const {
    CreateDevice argument{type, 0, 0};
    const long answer = detail::raw_ioctl(fd_, op::create_device.request, &argument);
    if (answer < 0) {
        return Result<Device>(std::unexpect, op::create_device.name, static_cast<int>(-answer),
                              static_cast<u32>(type));
    }
    return Device(Fd(static_cast<int>(argument.fd)));
}

Result<bool> Vm::has_device(DeviceType type) const {
    CreateDevice argument{type, 0, static_cast<u32>(CreateDeviceFlag::test)};
    const long answer = detail::raw_ioctl(fd_, op::create_device.request, &argument);
    if (answer < 0 && answer != -ENODEV) {
        return Result<bool>(std::unexpect, op::create_device.name, static_cast<int>(-answer));
    }
    return answer >= 0;
}

}  // namespace kvm
