// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/device/bus.hpp>
#include <vmm/device/lines.hpp>

namespace vmm {

/// A port to which firmware and early kernels print byte by byte, with no state at all: 0xe9 of
/// Bochs, 0x402 of SeaBIOS and OVMF. It reads as 0xe9, by which they find it.
class DebugConsole final : public ByteDevice {
public:
    explicit DebugConsole(ByteSink& sink) : sink_(sink) {}

protected:
    std::uint8_t read_byte(std::uint64_t) override { return 0xe9; }
    void write_byte(std::uint64_t, std::uint8_t value) override {
        sink_.transmit(std::byte(value));
    }

private:
    ByteSink& sink_;
};

}  // namespace vmm
