// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <optional>
#include <vmm/device/cmos.hpp>
#include <vmm/device/i8042.hpp>
#include <vmm/device/reset_control.hpp>
#include <vmm/device/serial.hpp>
#include <vmm/machine/config.hpp>
#include <vmm/machine/console_pump.hpp>

namespace vmm::detail {

/// The pins of the interrupt controllers: the hypervisor's.
class InterruptPins {
public:
    virtual kvm::Result<void> set_pin(kvm::Gsi gsi, kvm::Level level) = 0;

protected:
    ~InterruptPins() = default;
};

/// A device's wire to a pin. What cannot be set is counted.
class PinLine final : public InterruptLine {
public:
    PinLine(InterruptPins& pins, kvm::Gsi gsi) : pins_(pins), gsi_(gsi) {}
    void set(kvm::Level level) override {
        if (auto done = pins_.set_pin(gsi_, level); !done) {
            failures_.fetch_add(1, std::memory_order_relaxed);
        }
    }
    kvm::Gsi gsi() const { return gsi_; }
    std::uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }

private:
    InterruptPins& pins_;
    kvm::Gsi gsi_;
    std::atomic<std::uint64_t> failures_ = 0;
};

/// What is in the machine beside CPUs, RAM and what the hypervisor emulates: the devices, the
/// address spaces where they answer, and their wires. Knows no hypervisor.
class Board {
public:
    /// What a board is connected to; it all outlives the board.
    struct Wires {
        InterruptPins& pins;
        ResetLine& reset;
        const Wake& ended;  ///< nobody waits for the console any longer
    };
    static Result<std::unique_ptr<Board>> create(const MachineConfig& config, Console& console,
                                                 Wires wires);

    Bus& ports() { return ports_; }
    Bus& mmio() { return mmio_; }
    /// MSRs that nobody knows.
    UnhandledCounter& msrs() { return msrs_; }
    ConsolePump& pump() { return *pump_; }
    Serial& serial() { return serial_; }

    /// What is to be said of the devices.
    void add_to(MachineReport& report) const;

private:
    Board(std::unique_ptr<ConsolePump> pump, Wires wires) : wires_(wires), pump_(std::move(pump)) {}
    Result<void> add_devices(const MachineConfig& config);
    InterruptLine& line(kvm::Gsi gsi) { return lines_.emplace_back(wires_.pins, gsi); }

    Wires wires_;
    Bus ports_;
    Bus mmio_;
    UnhandledCounter msrs_;
    std::unique_ptr<ConsolePump> pump_;
    std::list<PinLine> lines_;
    HostTime time_;

    // In order of address.
    I8042 i8042_{line(kvm::Gsi(1)), wires_.reset};
    Cmos cmos_{time_};
    Sink post_codes_;
    Serial serial_{line(kvm::Gsi(4)), *pump_};
    ResetControl reset_control_{wires_.reset};
};

}  // namespace vmm::detail
