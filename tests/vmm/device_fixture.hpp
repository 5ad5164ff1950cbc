// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>
#include <vmm/device/lines.hpp>
#include <vmm/device/serial.hpp>

namespace vmm::test {

/// A line that remembers.
struct TestLine final : InterruptLine {
    void set(kvm::Level l) override {
        changes += level != l;
        level = l;
    }
    bool up() const { return level == kvm::Level::high; }

    kvm::Level level = kvm::Level::low;
    int changes = 0;
};

struct TestReset final : ResetLine {
    void reset() override { ++count; }
    int count = 0;
};

struct TestPeer final : SerialPeer {
    void transmit(std::byte byte) override { sent += static_cast<char>(byte); }
    void room_to_receive() override { ++rooms; }
    std::string sent;
    int rooms = 0;
};

inline std::uint8_t in(BusDevice& device, std::uint64_t offset) {
    std::byte value{0xff};
    device.read(offset, {&value, 1});
    return std::to_integer<std::uint8_t>(value);
}

inline void out(BusDevice& device, std::uint64_t offset, unsigned value) {
    const auto byte = std::byte(value);
    device.write(offset, {&byte, 1});
}

inline std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace vmm::test
