// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <fmt/format.h>
#include <vmm/machine/core.hpp>

namespace vmm::detail {

namespace {

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

void Core::handle(CpuBase& cpu, const kvm::Exit& exit) {
    if (recorder_) [[unlikely]] {
        recorder_->exit(cpu.id, exit, [&] { dispatch(cpu, exit); });
    } else {
        dispatch(cpu, exit);
    }
}

kvm::Result<void> Core::set_pin(kvm::Gsi gsi, kvm::Level level) {
    if (hook_) {
        hook_->pin_changed({gsi, level});
    }
    return irq_line(gsi, level);
}

void Core::dispatch(CpuBase& cpu, const kvm::Exit& exit) {
    namespace e = kvm::exit;
    const auto reason = static_cast<std::uint32_t>(exit.reason());
    auto& count = cpu.exits[std::min(reason, kvm::exit_reason_count)];
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    exit.visit(kvm::handlers{
        [&](const e::IoOut& io) {
            for (std::size_t i = 0; i < io.data.size(); i += io.size) {
                board_->ports().write(static_cast<std::uint16_t>(io.port),
                                      io.data.subspan(i, io.size));
            }
        },
        [&](const e::IoIn& io) {
            for (std::size_t i = 0; i < io.data.size(); i += io.size) {
                board_->ports().read(static_cast<std::uint16_t>(io.port),
                                     io.data.subspan(i, io.size));
            }
        },
        [&](const e::MmioRead& m) { board_->mmio().read(m.address.value(), m.data); },
        [&](const e::MmioWrite& m) { board_->mmio().write(m.address.value(), m.data); },
        [&](const e::Interrupted&) {
            if (is_dead(cpu.id)) {
                cpu.dead_in_round.store(round_.load(std::memory_order_relaxed),
                                        std::memory_order_relaxed);
            }
        },
        [&](const e::Rdmsr& msr) {
            board_->msrs().count_read(msr.index);
            msr.error = 1;
        },
        [&](const e::Wrmsr& msr) {
            board_->msrs().count_write(msr.index);
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

void Core::end_with_dump(CpuBase& cpu, EndReason reason, std::string cause) {
    end({reason, cpu.id, std::move(cause), dump_cpu(cpu.id)});
}

}  // namespace vmm::detail
