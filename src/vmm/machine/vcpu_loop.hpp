// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <fmt/format.h>
#include <vmm/machine/dump.hpp>
#include <vmm/machine/impl.hpp>

namespace vmm::detail {

template <Hypervisor Backend>
void MachineImpl<Backend>::run_vcpu(std::size_t index) {
    Cpu& cpu = *cpus_[index];
    auto kick = cpu.vcpu.create_kick();
    if (!kick) {
        end(Error(kick.error()));
        return;
    }
    {
        const std::lock_guard lock(mutex());
        kicks_.push_back(std::move(*kick));
    }
    while (go() || park(cpu)) {
        auto exit = cpu.vcpu.run();
        if (!exit) {
            const Error error(exit.error());
            end(Error(fmt::format("vCPU {}: {}", cpu.id, error.message), error.code));
            return;
        }
        handle(cpu, *exit);
    }
}

template <Hypervisor Backend>
Result<void> MachineImpl<Backend>::settle(std::size_t index) {
    Cpu& cpu = *cpus_[index];
    for (;;) {
        auto exit = cpu.vcpu.complete_pending_io();
        if (!exit) {
            return std::unexpected(Error(exit.error()));
        }
        if (exit->reason() == kvm::ExitReason::intr) {
            return {};
        }
        handle(cpu, *exit);  // the rest of the same instruction
    }
}

template <Hypervisor Backend>
void MachineImpl<Backend>::tell_of_pause(std::size_t index) {
    if (clock_pauses_) {
        (void)cpus_[index]->vcpu.kvmclock_ctrl();  // fails if the guest has no such clock
    }
}

template <Hypervisor Backend>
std::string MachineImpl<Backend>::dump_cpu(std::size_t index) {
    return dump(cpus_[index]->id, cpus_[index]->vcpu, memory_);
}

template <Hypervisor Backend>
bool MachineImpl<Backend>::is_dead(std::size_t index) {
    constexpr std::uint64_t rflags_if = 1 << 9;
    const auto& vcpu = cpus_[index]->vcpu;
    const auto state = vcpu.mp_state();
    if (!state) {
        return false;  // then nobody finds out
    }
    switch (state->mp_state) {
        case kvm::MpStateValue::uninitialized:
        case kvm::MpStateValue::init_received:
            return true;
        case kvm::MpStateValue::halted: {
            const auto regs = vcpu.regs();
            return regs && !(regs->rflags & rflags_if);
        }
        default:
            return false;
    }
}

}  // namespace vmm::detail
