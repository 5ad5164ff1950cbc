// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/device/bus.hpp>
#include <vmm/device/lines.hpp>

namespace vmm {

/// By which a guest's kernel says that it panicked: QEMU's pvpanic (docs/specs/pvpanic), port 0x505
/// and ACPI's QEMU0001. It reads as the events that there are, bit 0 a panic, bit 1 one of which a
/// crash kernel takes care.
class PvPanic final : public ByteDevice {
public:
    explicit PvPanic(PanicLine& line) : line_(line) {}

protected:
    std::uint8_t read_byte(std::uint64_t) override { return panicked | crash_loaded; }
    void write_byte(std::uint64_t, std::uint8_t events) override {
        if (events & crash_loaded) {
            line_.crash_loaded();
        } else if (events & panicked) {
            line_.panicked();
        }
    }

private:
    static constexpr std::uint8_t panicked = 1, crash_loaded = 2;
    PanicLine& line_;
};

}  // namespace vmm
