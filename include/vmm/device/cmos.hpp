// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <ctime>
#include <vmm/device/bus.hpp>

namespace vmm {

/// Where a clock gets its time: seconds since 1970, UTC.
class TimeSource {
public:
    virtual ~TimeSource() = default;
    virtual std::time_t now() const = 0;
};

/// The host's own clock, CLOCK_REALTIME.
class HostTime final : public TimeSource {
public:
    std::time_t now() const override;
};

/// The PC's clock and its battery-backed memory, an MC146818: index at offset 0, data at offset 1,
/// from port 0x70. It tells the time, in UTC and BCD. It cannot be set, has no alarm and no
/// interrupt; the 114 bytes of memory start as zeros and are the guest's.
class Cmos final : public ByteDevice {
public:
    static constexpr std::uint64_t ports = 2;

    explicit Cmos(const TimeSource& time) : time_(time) {}

protected:
    std::uint8_t read_byte(std::uint64_t offset) override;
    void write_byte(std::uint64_t offset, std::uint8_t value) override;

private:
    std::uint8_t read_clock(std::uint8_t index) const;

    const TimeSource& time_;
    std::mutex mutex_;
    std::uint8_t index_ = 0;
    std::array<std::uint8_t, 128> memory_{};
};

}  // namespace vmm
