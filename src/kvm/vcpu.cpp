// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/vcpu.hpp>

namespace kvm {

Result<void> Vcpu::complete_pending_io() {
    __atomic_store_n(&run_->immediate_exit, u8(1), __ATOMIC_RELEASE);
    const auto exit = run();
    // A Kick that came meanwhile wants the next run() to return: run() took its flag back.
    __atomic_store_n(&run_->immediate_exit, u8(kick_ ? 1 : 0), __ATOMIC_RELEASE);
    if (!exit) {
        return std::unexpected(exit.error());
    }
    return {};
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
