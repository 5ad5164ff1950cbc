// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/device/bus.hpp>
#include <vmm/device/lines.hpp>

/// The registers by which ACPI switches a machine off, and by which it is asked to be.
namespace vmm {

/// A button that somebody outside the machine presses.
class PowerButton {
public:
    virtual ~PowerButton() = default;
    /// Whether the guest's operating system has said that it listens to the button. Any thread.
    virtual bool armed() const = 0;
    /// Presses it. Any thread.
    virtual void press() = 0;
};

/// The sleep control register (offset 0) and sleep status register (1) of hardware-reduced ACPI.
/// ACPI 6.5, 4.8.3.7. S5 switches the machine off; there are no other sleeping states.
class SleepRegisters final : public ByteDevice {
public:
    static constexpr std::uint64_t ports = 2;

    /// `s5` is SLP_TYP of S5, as the DSDT's _S5 has it.
    SleepRegisters(PowerLine& power, std::uint8_t s5) : power_(power), s5_(s5) {}

protected:
    std::uint8_t read_byte(std::uint64_t offset) override;
    void write_byte(std::uint64_t offset, std::uint8_t value) override;

private:
    PowerLine& power_;
    std::uint8_t s5_;
    std::mutex mutex_;
    std::uint8_t control_ = 0;
};

/// The events of a Generic Event Device: at offset 0 those that are pending, which a read
/// acknowledges, at offset 1 those that are enabled. The line is up while an enabled one is
/// pending. The only event is the power button, bit 0.
class EventRegisters final : public ByteDevice, public PowerButton {
public:
    static constexpr std::uint64_t ports = 2;

    explicit EventRegisters(InterruptLine& line) : line_(line) {}

    bool armed() const override;
    void press() override;

protected:
    std::uint8_t read_byte(std::uint64_t offset) override;
    void write_byte(std::uint64_t offset, std::uint8_t value) override;

private:
    void update_line();

    InterruptLine& line_;
    mutable std::mutex mutex_;  // of what follows, and of line_
    std::uint8_t pending_ = 0;
    std::uint8_t enabled_ = 0;
    kvm::Level level_ = kvm::Level::low;
};

/// The PM1 registers of ACPI's fixed hardware: status (offset 0) and enable (2), 16 bits each, then
/// control (4). ACPI 6.5, 4.8.3.1 and 4.8.3.2. There are the power button, whose interrupt is the
/// system control interrupt, and S5; neither timer interrupt, clock alarm nor sleeping states.
class Pm1Registers final : public ByteDevice, public PowerButton {
public:
    static constexpr std::uint64_t ports = 6;

    /// `sci` is the line of the system control interrupt, `s5` SLP_TYP of S5.
    Pm1Registers(InterruptLine& sci, PowerLine& power, std::uint8_t s5)
        : sci_(sci), power_(power), s5_(s5) {}

    bool armed() const override;
    void press() override;

protected:
    std::uint8_t read_byte(std::uint64_t offset) override;
    void write_byte(std::uint64_t offset, std::uint8_t value) override;

private:
    void update_line();

    InterruptLine& sci_;
    PowerLine& power_;
    std::uint8_t s5_;
    mutable std::mutex mutex_;  // of what follows, and of sci_; not held while power_ is called
    std::uint16_t status_ = 0;
    std::uint16_t enable_ = 0;
    std::uint8_t control_ = 0;  // of the upper byte; the lower has but SCI_EN, always set
    kvm::Level level_ = kvm::Level::low;
};

}  // namespace vmm
