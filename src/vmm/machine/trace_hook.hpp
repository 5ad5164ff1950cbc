// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/device/clock.hpp>
#include <vmm/device/cmos.hpp>
#include <vmm/machine/trace.hpp>

namespace vmm::detail {

/// Who is told what devices do to the world and what they learn of it: a recorder, or a replay.
class TraceHook {
public:
    virtual void pin_changed(PinChange change) = 0;
    /// A device reads a clock, which has this value; returns the one that it is to see.
    virtual std::uint64_t clock_read(ClockRead read) = 0;
    /// The guest sends its first byte to the console.
    virtual void first_output() = 0;

protected:
    ~TraceHook() = default;
};

/// The clocks of a machine's devices: the host's, as the hook, if there is one, has them.
class HookedTime final : public TimeSource {
public:
    explicit HookedTime(TraceHook* hook) : hook_(hook) {}
    std::time_t now() const override {
        const std::time_t host = HostTime().now();
        return hook_ ? static_cast<std::time_t>(hook_->clock_read(
                           {TraceClock::realtime, static_cast<std::uint64_t>(host)}))
                     : host;
    }

private:
    TraceHook* hook_;
};

class HookedClock final : public Clock {
public:
    explicit HookedClock(TraceHook* hook) : hook_(hook) {}
    std::uint64_t nanoseconds() const override {
        const std::uint64_t host = HostClock().nanoseconds();
        return hook_ ? hook_->clock_read({TraceClock::monotonic, host}) : host;
    }

private:
    TraceHook* hook_;
};

}  // namespace vmm::detail
