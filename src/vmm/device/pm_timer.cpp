// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <chrono>
#include <vmm/device/pm_timer.hpp>

namespace vmm {

std::uint64_t HostClock::nanoseconds() const {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

std::uint32_t PmTimer::count() const {
    constexpr std::uint64_t second = 1'000'000'000;
    const std::uint64_t elapsed = clock_.nanoseconds() - start_;
    const std::uint64_t ticks =
        elapsed / second * frequency + elapsed % second * frequency / second;
    return static_cast<std::uint32_t>(width_ == Width::bits24 ? ticks & 0xffffff : ticks);
}

void PmTimer::read(std::uint64_t offset, std::span<std::byte> data) {
    const std::uint64_t now = count();
    for (std::byte& byte : data) {
        byte = offset < ports ? std::byte(now >> (8 * offset)) : std::byte{0xff};
        ++offset;
    }
}

}  // namespace vmm
