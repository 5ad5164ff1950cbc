// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <chrono>
#include <vmm/device/cmos.hpp>

namespace vmm {

namespace {

enum Register : std::uint8_t {
    seconds = 0x00,
    minutes = 0x02,
    hours = 0x04,
    weekday = 0x06,
    day = 0x07,
    month = 0x08,
    year = 0x09,
    status_a = 0x0a,
    status_d = 0x0d,
    century = 0x32,
};
constexpr std::uint8_t first_memory = 0x0e;
constexpr std::uint8_t running_32khz = 0x26;  // status A: no update in progress, the usual divider
constexpr std::uint8_t hours_24 = 0x02;       // status B: BCD, no interrupts
constexpr std::uint8_t battery_is_good = 0x80;  // status D

// The years that four digits have: 0 to 9999.
constexpr std::time_t first_time = -62167219200;
constexpr std::time_t last_time = 253402300799;

constexpr std::uint8_t bcd(long value) {
    return static_cast<std::uint8_t>(value / 10 % 10 * 16 + value % 10);
}

}  // namespace

std::time_t HostTime::now() const { return std::time(nullptr); }

std::uint8_t Cmos::read_byte(std::uint64_t offset) {
    const std::lock_guard lock(mutex_);
    return offset == 1 ? read_clock(index_) : 0xff;  // the index is write-only
}

void Cmos::write_byte(std::uint64_t offset, std::uint8_t value) {
    const std::lock_guard lock(mutex_);
    if (offset == 0) {
        index_ = value & 0x7f;  // bit 7 masks the NMI
    } else if (offset == 1 && index_ >= first_memory && index_ != century) {
        memory_[index_] = value;
    }
}

std::uint8_t Cmos::read_clock(std::uint8_t index) const {
    if (index >= first_memory && index != century) {
        return memory_[index];
    }
    // Not gmtime_r(3), which reads the host's /etc/localtime at its first call.
    const std::chrono::sys_seconds now(
        std::chrono::seconds(std::clamp<std::time_t>(time_.now(), first_time, last_time)));
    const auto today = std::chrono::floor<std::chrono::days>(now);
    const std::chrono::year_month_day date(today);
    const std::chrono::hh_mm_ss time(now - today);
    switch (index) {
        case seconds:
            return bcd(time.seconds().count());
        case minutes:
            return bcd(time.minutes().count());
        case hours:
            return bcd(time.hours().count());
        case weekday:
            return bcd(std::chrono::weekday(today).c_encoding() + 1);
        case day:
            return bcd(static_cast<unsigned>(date.day()));
        case month:
            return bcd(static_cast<unsigned>(date.month()));
        case year:
            return bcd(static_cast<int>(date.year()) % 100);
        case century:
            return bcd(static_cast<int>(date.year()) / 100);
        case status_a:
            return running_32khz;
        case status_a + 1:
            return hours_24;
        case status_d:
            return battery_is_good;
        default:  // alarms, which never come, and status C: no interrupt is pending
            return 0;
    }
}

}  // namespace vmm
