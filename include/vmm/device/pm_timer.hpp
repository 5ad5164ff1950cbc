// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/device/bus.hpp>
#include <vmm/device/clock.hpp>

namespace vmm {

/// The ACPI power management timer: a counter of 3.579545 MHz that a guest only reads. ACPI 6.5,
/// 4.8.3.3. It raises no interrupt when it overflows.
class PmTimer final : public BusDevice {
public:
    static constexpr std::uint64_t ports = 4;
    static constexpr std::uint64_t frequency = 3'579'545;  ///< Hz
    /// How many bits count; the FADT says which (TMR_VAL_EXT).
    enum class Width { bits24, bits32 };

    /// Counts from 0.
    PmTimer(const Clock& clock, Width width)
        : clock_(clock), start_(clock.nanoseconds()), width_(width) {}

    std::uint32_t count() const;
    void read(std::uint64_t offset, std::span<std::byte> data) override;
    void write(std::uint64_t, std::span<const std::byte>) override {}

private:
    const Clock& clock_;
    std::uint64_t start_;
    Width width_;
};

}  // namespace vmm
