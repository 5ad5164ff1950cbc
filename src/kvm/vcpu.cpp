// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cassert>
#include <cerrno>
#include <kvm/vcpu.hpp>

namespace kvm {

Result<Vcpu> Vcpu::adopt(Fd fd, std::size_t mmap_size) {
    if (const auto state = call(fd, op::get_mp_state); !state) {
        return std::unexpected(state.error());
    }
    return map(static_cast<Fd&&>(fd), mmap_size);
}

Result<Exit> Vcpu::complete_pending_io() & {
    // Any value but 0 makes KVM_RUN return at once. A Kick stores 1: ours is another, to tell a
    // kick that came before or meanwhile, which the next run() is due.
    constexpr u8 ours = 2, kicked = 1;
    assert(run_ && "kvm::Vcpu used after it was moved from");
    Run& page = *run_;
#if KVMXX_CHECKED
    Exit::next_generation(page);
#endif
    const u8 before = __atomic_exchange_n(&page.immediate_exit, ours, __ATOMIC_ACQ_REL);
    const long result = detail::raw_ioctl(fd_, op::run.request, 0);
    const u8 after = __atomic_exchange_n(&page.immediate_exit, u8(0), __ATOMIC_ACQ_REL);
    if (before != 0 || after != ours) {
        __atomic_store_n(&page.immediate_exit, kicked, __ATOMIC_RELEASE);
    }
    if (result >= 0) {
        return Exit(page);
    }
    const int error = static_cast<int>(-result);
    if (error == EINTR || error == EAGAIN) {
        page.exit_reason = static_cast<u32>(ExitReason::intr);
    } else if (!detail::is_exit(page, error)) {
        return fail(op::run.name, error);
    }
    return Exit(page);
}

Result<u64> Vcpu::pre_fault_memory(Gpa address, u64 size) {
    PreFaultMemory range{address.value(), size, 0, {}};
    while (range.size != 0) {
        const u64 before = range.size;
        const auto done = call(fd_, op::pre_fault_memory, range);
        if (!done && range.size == size) {
            return std::unexpected(done.error());
        }
        if (!done || range.size == before) {
            break;
        }
    }
    return range.size;
}

Result<Stats> Vcpu::stats() const {
    const auto fd = call(fd_, op::get_stats_fd);
    if (!fd) {
        return std::unexpected(fd.error());
    }
    return Stats::open(Fd(*fd));
}

Result<void> Vcpu::set_signal_mask(u64 blocked) {
    struct {
        SignalMask header;
        u8 sigset[8];
    } argument{{8}, {}};
    static_assert(sizeof argument == 12);
    __builtin_memcpy(argument.sigset, &blocked, sizeof blocked);
    return call(fd_, op::set_signal_mask, argument.header);
}

}  // namespace kvm
