// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>

namespace vmm {

/// What a device counts time by: it only goes forward.
class Clock {
public:
    virtual ~Clock() = default;
    /// Since some time in the past.
    virtual std::uint64_t nanoseconds() const = 0;
};

/// The host's CLOCK_MONOTONIC.
class HostClock final : public Clock {
public:
    std::uint64_t nanoseconds() const override;
};

}  // namespace vmm
