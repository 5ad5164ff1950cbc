// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/device/i8042.hpp>

namespace vmm {

namespace {

constexpr std::uint64_t data_port = 0, command_port = 4;
constexpr std::uint8_t status_output_full = 0x01, status_command = 0x08, status_timeout = 0x40;
constexpr std::uint8_t control_interrupt = 0x01, control_no_keyboard = 0x10, control_no_aux = 0x20;

enum Command : std::uint8_t {
    read_control = 0x20,
    write_control = 0x60,
    disable_aux = 0xa7,
    enable_aux = 0xa8,
    test_aux = 0xa9,
    self_test = 0xaa,
    test_keyboard = 0xab,
    disable_keyboard = 0xad,
    enable_keyboard = 0xae,
    read_output_port = 0xd0,
    write_output_port = 0xd1,
    loop_keyboard = 0xd2,
    loop_aux = 0xd3,
    write_aux = 0xd4,
    pulse_output_port = 0xf0,  // to 0xff: the low bits are the lines that are not pulsed
};

constexpr std::uint8_t output_port_not_reset = 0x01;
constexpr std::uint8_t output_port = 0x03;  // no reset, A20 on
constexpr std::uint8_t no_clock = 0x01;     // test_aux's answer: nothing there
constexpr std::uint8_t resend = 0xfe;       // a device's answer, or its absence's

}  // namespace

std::uint8_t I8042::read_byte(std::uint64_t offset) {
    const std::lock_guard lock(mutex_);
    if (offset == command_port) {
        return status_;
    }
    if (offset != data_port) {
        return 0xff;
    }
    status_ &= static_cast<std::uint8_t>(~(status_output_full | status_timeout));
    update_line();
    return output_;
}

void I8042::write_byte(std::uint64_t offset, std::uint8_t value) {
    bool reset = false;
    {
        const std::lock_guard lock(mutex_);
        if (offset == command_port) {
            reset = command(value);
        } else if (offset == data_port) {
            reset = data(value);
        }
        update_line();
    }
    if (reset) {
        reset_.reset();
    }
}

/// Returns whether the machine is to be reset.
bool I8042::command(std::uint8_t value) {
    status_ |= status_command;
    pending_ = 0;
    switch (value) {
        case read_control:
            answer(control_);
            return false;
        case disable_aux:
            control_ |= control_no_aux;
            return false;
        case enable_aux:
            control_ &= static_cast<std::uint8_t>(~control_no_aux);
            return false;
        case test_aux:
            answer(no_clock);
            return false;
        case self_test:
            answer(0x55);
            return false;
        case test_keyboard:
            answer(0x00);
            return false;
        case disable_keyboard:
            control_ |= control_no_keyboard;
            return false;
        case enable_keyboard:
            control_ &= static_cast<std::uint8_t>(~control_no_keyboard);
            return false;
        case read_output_port:
            answer(output_port);
            return false;
        case write_control:
        case write_output_port:
        case loop_keyboard:
        case loop_aux:
        case write_aux:
            pending_ = value;
            return false;
        default:
            return value >= pulse_output_port && !(value & output_port_not_reset);
    }
}

/// Returns whether the machine is to be reset.
bool I8042::data(std::uint8_t value) {
    status_ &= static_cast<std::uint8_t>(~status_command);
    const std::uint8_t to = pending_;
    pending_ = 0;
    switch (to) {
        case write_control:
            control_ = value;
            return false;
        case write_output_port:
            return !(value & output_port_not_reset);
        case loop_keyboard:
            answer(value);
            return false;
        case loop_aux:  // a guest that waits for its echo would wait for long; this says that there
                        // is no port
            answer(static_cast<std::uint8_t>(~value));
            return false;
        case write_aux:
        default:  // for a device, and there is none: a time-out
            answer(resend, status_timeout);
            return false;
    }
}

void I8042::answer(std::uint8_t value, std::uint8_t status) {
    output_ = value;
    status_ |= static_cast<std::uint8_t>(status_output_full | status);
}

void I8042::update_line() {
    const bool up = status_ & status_output_full && control_ & control_interrupt;
    const kvm::Level level = up ? kvm::Level::high : kvm::Level::low;
    if (level != level_) {
        level_ = level;
        keyboard_.set(level);
    }
}

}  // namespace vmm
