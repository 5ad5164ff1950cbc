// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/device/bus.hpp>
#include <vmm/device/lines.hpp>

namespace vmm {

/// The PC's keyboard controller, with nothing plugged in: for guests that reset the machine by it
/// (0xfe to port 0x64), and so that those that look for a keyboard find soon that there is none. At
/// 5 ports from 0x60: data is offset 0, status and commands offset 4, between them is nothing.
class I8042 final : public ByteDevice {
public:
    static constexpr std::uint64_t ports = 5;

    /// `keyboard` is the line of the controller's answers, GSI 1.
    I8042(InterruptLine& keyboard, ResetLine& reset) : keyboard_(keyboard), reset_(reset) {}

protected:
    std::uint8_t read_byte(std::uint64_t offset) override;
    void write_byte(std::uint64_t offset, std::uint8_t value) override;

private:
    bool command(std::uint8_t value);
    bool data(std::uint8_t value);
    void answer(std::uint8_t value, std::uint8_t status = 0);
    void update_line();

    InterruptLine& keyboard_;
    ResetLine& reset_;
    std::mutex mutex_;  // of what follows, and of keyboard_; not held while reset_ is called
    std::uint8_t control_ = 0x74;  // translating, both ports disabled, self test passed
    std::uint8_t output_ = 0;
    std::uint8_t status_ = 0x1c;  // keyboard not locked, last write was a command, self test passed
    std::uint8_t pending_ = 0;    // the command that waits for its data byte
    kvm::Level level_ = kvm::Level::low;
};

}  // namespace vmm
