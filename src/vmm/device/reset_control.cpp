// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/device/reset_control.hpp>

namespace vmm {

namespace {

constexpr std::uint8_t reset_cpu = 0x04, kept = 0x0e;

}  // namespace

std::uint8_t ResetControl::read_byte(std::uint64_t) {
    const std::lock_guard lock(mutex_);
    return value_;
}

void ResetControl::write_byte(std::uint64_t, std::uint8_t value) {
    bool reset;
    {
        const std::lock_guard lock(mutex_);
        reset = (value & ~value_ & reset_cpu) != 0;
        value_ = value & kept;
    }
    if (reset) {
        reset_.reset();
    }
}

}  // namespace vmm
