// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <ctime>

namespace kvm::test {

/// While it lives and once `limit` has passed, this thread gets a signal every 100 ms that does
/// nothing but end system calls: KVM_RUN returns, and expired() says why. It is not a Kick, so that
/// Kick's own tests, and those of immediate_exit and signal masks, are alone with what they test.
class Watchdog {
public:
    explicit Watchdog(std::chrono::milliseconds limit);
    ~Watchdog();
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

    bool expired() const { return std::chrono::steady_clock::now() >= end_; }

private:
    std::chrono::steady_clock::time_point end_;
    timer_t timer_;
};

}  // namespace kvm::test
