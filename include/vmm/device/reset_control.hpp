// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/device/bus.hpp>
#include <vmm/device/lines.hpp>

namespace vmm {

/// The reset control register of Intel's south bridges, port 0xcf9: bit 2 going up resets the
/// machine, and bit 1, which says how thoroughly, is kept.
class ResetControl final : public ByteDevice {
public:
    /// What asks for a reset at once, of everything.
    static constexpr std::uint8_t full_reset = 0x06;

    explicit ResetControl(ResetLine& reset) : reset_(reset) {}

protected:
    std::uint8_t read_byte(std::uint64_t) override;
    void write_byte(std::uint64_t, std::uint8_t value) override;

private:
    ResetLine& reset_;
    std::mutex mutex_;
    std::uint8_t value_ = 0;
};

}  // namespace vmm
