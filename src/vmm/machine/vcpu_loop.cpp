// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <fmt/format.h>
#include <pthread.h>
#include <vmm/machine/impl.hpp>

namespace vmm {

namespace {

constexpr std::uint64_t rflags_if = 1 << 9;

const char* describe(kvm::exit::InternalErrorKind kind) {
    switch (kind) {
        case kvm::exit::InternalErrorKind::emulation:
            return "KVM cannot emulate an instruction";
        case kvm::exit::InternalErrorKind::simul_ex:
            return "exceptions came while KVM delivered an exception";
        case kvm::exit::InternalErrorKind::delivery_ev:
            return "KVM could not deliver an event";
        case kvm::exit::InternalErrorKind::unexpected_exit_reason:
            return "the CPU gave KVM a reason to exit that it does not know";
    }
    return "KVM gave up";
}

std::string hex(std::span<const std::uint8_t> bytes) {
    std::string text;
    for (const std::uint8_t byte : bytes) {
        text += fmt::format(" {:02x}", byte);
    }
    return text;
}

}  // namespace

void Machine::Impl::run_vcpu(detail::Cpu& cpu) {
    const auto name = fmt::format("vcpu {}", cpu.id);
    pthread_setname_np(pthread_self(), name.c_str());
    auto kick = cpu.vcpu.create_kick();
    if (!kick) {
        end(Error(kick.error()));
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        kicks_.push_back(std::move(*kick));
    }
    while (!ended()) {
        auto exit = cpu.vcpu.run();
        if (!exit) {
            const Error error(exit.error());
            end(Error(fmt::format("vCPU {}: {}", cpu.id, error.message), error.code));
            return;
        }
        handle(cpu, *exit);
    }
}

void Machine::Impl::handle(detail::Cpu& cpu, const kvm::Exit& exit) {
    namespace e = kvm::exit;
    const auto reason = static_cast<std::uint32_t>(exit.reason());
    ++cpu.exits[std::min(reason, kvm::exit_reason_count)];
    exit.visit(kvm::handlers{
        [&](const e::IoOut& io) {
            for (std::size_t i = 0; i < io.data.size(); i += io.size) {
                ports_.write(static_cast<std::uint16_t>(io.port), io.data.subspan(i, io.size));
            }
        },
        [&](const e::IoIn& io) {
            for (std::size_t i = 0; i < io.data.size(); i += io.size) {
                ports_.read(static_cast<std::uint16_t>(io.port), io.data.subspan(i, io.size));
            }
        },
        [&](const e::MmioRead& m) { mmio_.read(m.address.value(), m.data); },
        [&](const e::MmioWrite& m) { mmio_.write(m.address.value(), m.data); },
        [&](const e::Interrupted&) { look_at(cpu); },
        [&](const e::Rdmsr& msr) {
            msrs_.count_read(msr.index);
            msr.error = 1;
        },
        [&](const e::Wrmsr& msr) {
            msrs_.count_write(msr.index);
            msr.error = 1;
        },
        [&](const e::Shutdown&) { end_with_dump(cpu, EndReason::triple_fault, {}); },
        [&](const e::InternalError& error) {
            std::string cause = describe(error.suberror);
            if (!error.insn.empty()) {
                cause += fmt::format(":{}", hex(error.insn));
            }
            end_with_dump(cpu, EndReason::internal_error, std::move(cause));
        },
        [&](const e::FailEntry& error) {
            end_with_dump(cpu, EndReason::internal_error,
                          fmt::format("the CPU refused to enter the guest, reason {:#x}",
                                      error.hardware_entry_failure_reason));
        },
        [&](const e::MemoryFault& fault) {
            end_with_dump(cpu, EndReason::internal_error,
                          fmt::format("no memory can be had at {:#x}", fault.gpa.value()));
        },
        [&](const e::SystemEvent& event) {
            switch (event.type) {
                case e::SystemEventType::shutdown:
                    return end({EndReason::power_off, cpu.id, {}, {}});
                case e::SystemEventType::reset:
                    return end({EndReason::reset, cpu.id, {}, {}});
                default:
                    return end_with_dump(
                        cpu, EndReason::internal_error,
                        fmt::format("system event {}", static_cast<std::uint32_t>(event.type)));
            }
        },
        [](const auto&) {},  // counted, and the report says so
    });
}

void Machine::Impl::end_with_dump(detail::Cpu& cpu, EndReason reason, std::string cause) {
    end({reason, cpu.id, std::move(cause), detail::dump(cpu, memory_)});
}

/// Whether this CPU can never run again of itself.
void Machine::Impl::look_at(detail::Cpu& cpu) {
    const auto state = cpu.vcpu.mp_state();
    if (!state) {
        return;  // then nobody finds out
    }
    bool dead = false;
    switch (state->mp_state) {
        case kvm::MpStateValue::uninitialized:
        case kvm::MpStateValue::init_received:
            dead = true;
            break;
        case kvm::MpStateValue::halted: {
            const auto regs = cpu.vcpu.regs();
            dead = regs && !(regs->rflags & rflags_if);
            break;
        }
        default:
            break;
    }
    if (dead) {
        cpu.dead_in_round.store(round_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    }
}

}  // namespace vmm
