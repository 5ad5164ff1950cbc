// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/device/power.hpp>

namespace vmm {

namespace {

// The sleep control register, and the upper byte of PM1 control: the same bits.
constexpr std::uint8_t sleep_type_mask = 0x1c, sleep_enable = 0x20;
constexpr int sleep_type_shift = 2;

bool switches_off(std::uint8_t control, std::uint8_t s5) {
    return control & sleep_enable && (control & sleep_type_mask) >> sleep_type_shift == s5;
}

constexpr std::uint8_t event_power_button = 0x01;
constexpr std::uint16_t pm1_power_button = 0x0100;  // PWRBTN_STS and PWRBTN_EN
constexpr std::uint16_t pm1_enables = 0x0721;       // also of those that never happen
constexpr std::uint8_t sci_enabled = 0x01;          // SCI_EN: ACPI always has the hardware

/// Sets a line where its level is another.
void drive(InterruptLine& line, kvm::Level& level, bool up) {
    const kvm::Level wanted = up ? kvm::Level::high : kvm::Level::low;
    if (wanted != level) {
        level = wanted;
        line.set(wanted);
    }
}

}  // namespace

std::uint8_t SleepRegisters::read_byte(std::uint64_t offset) {
    const std::lock_guard lock(mutex_);
    return offset == 0 ? control_ : offset == 1 ? 0 : 0xff;  // it has never woken
}

void SleepRegisters::write_byte(std::uint64_t offset, std::uint8_t value) {
    if (offset != 0) {
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        control_ = value & sleep_type_mask;  // SLP_EN reads as 0
    }
    if (switches_off(value, s5_)) {
        power_.power_off();
    }
}

bool EventRegisters::armed() const {
    const std::lock_guard lock(mutex_);
    return enabled_ & event_power_button;
}

void EventRegisters::press() {
    const std::lock_guard lock(mutex_);
    pending_ |= event_power_button;
    update_line();
}

std::uint8_t EventRegisters::read_byte(std::uint64_t offset) {
    const std::lock_guard lock(mutex_);
    if (offset == 0) {
        const std::uint8_t pending = pending_;
        pending_ = 0;
        update_line();
        return pending;
    }
    return offset == 1 ? enabled_ : 0xff;
}

void EventRegisters::write_byte(std::uint64_t offset, std::uint8_t value) {
    const std::lock_guard lock(mutex_);
    if (offset == 1) {
        enabled_ = value & event_power_button;
        update_line();
    }
}

void EventRegisters::update_line() { drive(line_, level_, (pending_ & enabled_) != 0); }

bool Pm1Registers::armed() const {
    const std::lock_guard lock(mutex_);
    return enable_ & pm1_power_button;
}

void Pm1Registers::press() {
    const std::lock_guard lock(mutex_);
    status_ |= pm1_power_button;
    update_line();
}

std::uint8_t Pm1Registers::read_byte(std::uint64_t offset) {
    const std::lock_guard lock(mutex_);
    switch (offset) {
        case 0:
        case 1:
            return static_cast<std::uint8_t>(status_ >> (8 * offset));
        case 2:
        case 3:
            return static_cast<std::uint8_t>(enable_ >> (8 * (offset - 2)));
        case 4:
            return sci_enabled;
        case 5:
            return control_;
        default:
            return 0xff;
    }
}

void Pm1Registers::write_byte(std::uint64_t offset, std::uint8_t value) {
    bool off = false;
    {
        const std::lock_guard lock(mutex_);
        if (offset < 2) {
            status_ &= static_cast<std::uint16_t>(~(value << (8 * offset)));  // a 1 clears
        } else if (offset < 4) {
            const unsigned shift = 8 * static_cast<unsigned>(offset - 2);
            const unsigned kept = enable_ & ~(0xffu << shift);
            enable_ = static_cast<std::uint16_t>((kept | unsigned{value} << shift) & pm1_enables);
        } else if (offset == 5) {
            control_ = value & sleep_type_mask;  // SLP_EN reads as 0
            off = switches_off(value, s5_);
        }
        update_line();
    }
    if (off) {
        power_.power_off();
    }
}

void Pm1Registers::update_line() { drive(sci_, level_, (status_ & enable_) != 0); }

}  // namespace vmm
