// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <atomic>
#include <kvm/system.hpp>
#include <mutex>
#include <thread>
#include <vmm/device/cmos.hpp>
#include <vmm/device/i8042.hpp>
#include <vmm/device/reset_control.hpp>
#include <vmm/device/serial.hpp>
#include <vmm/machine/console_pump.hpp>
#include <vmm/machine/event_fds.hpp>
#include <vmm/machine/machine.hpp>
#include <vmm/memory/guest_memory.hpp>

namespace vmm {

namespace detail {

/// A pin of the irqchip in the kernel.
class IrqchipLine final : public InterruptLine {
public:
    IrqchipLine(const kvm::Vm& vm, kvm::Gsi gsi) : vm_(vm), gsi_(gsi) {}
    void set(kvm::Level level) override {
        if (auto done = vm_.irq_line(gsi_, level); !done) {
            failures_.fetch_add(1, std::memory_order_relaxed);
        }
    }
    kvm::Gsi gsi() const { return gsi_; }
    std::uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }

private:
    const kvm::Vm& vm_;
    kvm::Gsi gsi_;
    std::atomic<std::uint64_t> failures_ = 0;
};

/// A vCPU and what is known of it. While its thread runs, its own but for the atomics.
struct Cpu {
    Cpu(std::uint32_t number, kvm::Vcpu v) : id(number), vcpu(std::move(v)) {}

    std::uint32_t id;
    kvm::Vcpu vcpu;
    std::array<std::uint64_t, kvm::exit_reason_count + 1> exits{};  // the last: newer reasons
    /// The last round of Impl::look_for_life() in which it could never run again.
    std::atomic<std::uint64_t> dead_in_round = 0;
};

/// Registers, segments, control registers and the code at RIP, for people. On the vCPU's thread.
std::string dump(const Cpu& cpu, const GuestMemory& memory);

}  // namespace detail

class Machine::Impl final : public ResetLine {
public:
    Impl(kvm::Kvm kvm, kvm::Vm vm, GuestMemory memory, detail::Wake stop, detail::Wake ended)
        : kvm_(std::move(kvm)), vm_(std::move(vm)), memory_(std::move(memory)),
          stop_(std::move(stop)), ended_event_(std::move(ended)) {}

    // What create() does, in this order.
    Result<void> add_chips();
    Result<void> add_devices(Console& console);
    Result<void> add_cpus(std::uint32_t count, const x86_64::BootState& boot);

    Result<End> run(std::optional<std::chrono::milliseconds> timeout);
    void stop() const noexcept { stop_.set(); }
    MachineReport report() const;
    void reset() override { end({EndReason::reset, 0, {}, {}}); }

private:
    friend class Machine;

    // Any thread. The first end counts.
    void end(End end);
    void end(Error error);
    void finish_with(Result<End> end);
    bool ended() const { return ended_.load(std::memory_order_acquire); }

    // The event loop's thread.
    Result<void> start_threads();
    void serve_events(std::optional<std::chrono::milliseconds> timeout);
    void look_for_life();

    // A vCPU's thread: src/vmm/machine/vcpu_loop.cpp.
    void run_vcpu(detail::Cpu& cpu);
    void handle(detail::Cpu& cpu, const kvm::Exit& exit);
    void end_with_dump(detail::Cpu& cpu, EndReason reason, std::string cause);
    void look_at(detail::Cpu& cpu);

    kvm::Kvm kvm_;
    kvm::Vm vm_;
    GuestMemory memory_;
    detail::Wake stop_;         // somebody wants the end
    detail::Wake ended_event_;  // set when ended_ is
    std::optional<std::chrono::milliseconds> timeout_;

    Bus ports_;
    Bus mmio_;
    UnhandledCounter msrs_;
    std::unique_ptr<detail::ConsolePump> pump_;
    detail::IrqchipLine keyboard_line_{vm_, kvm::Gsi(1)};
    detail::IrqchipLine serial_line_{vm_, kvm::Gsi(4)};
    std::optional<Serial> serial_;
    I8042 i8042_{keyboard_line_, *this};
    HostTime time_;
    Cmos cmos_{time_};
    ResetControl reset_control_{*this};
    Sink post_codes_;

    std::vector<std::unique_ptr<detail::Cpu>> cpus_;
    std::atomic<std::uint64_t> round_ = 0;  // of look_for_life()
    std::uint64_t dead_rounds_ = 0;         // of them, the last in a row in which none lived
    std::atomic<bool> ended_ = false;
    std::mutex mutex_;  // of what follows
    std::optional<Result<End>> end_;
    std::vector<kvm::Kick> kicks_;
    std::vector<std::jthread> threads_;  // the event loop's own; last, so that they end first
};

}  // namespace vmm
