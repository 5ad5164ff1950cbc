// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>

namespace kvm::test {

/// While it lives and once `limit` has passed, this thread gets SIGALRM about every 50 ms, which
/// does nothing but end system calls: KVM_RUN returns, and expired() says why. It is not a Kick, so
/// that Kick's own tests, and those of immediate_exit and signal masks, are alone with what they
/// test. Nor is it a timer: those fail where the user's signal queue is full.
class Watchdog {
public:
    explicit Watchdog(std::chrono::milliseconds limit);
    ~Watchdog();
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

    bool expired() const { return std::chrono::steady_clock::now() >= end_; }

private:
    friend class WatchdogThread;
    std::chrono::steady_clock::time_point end_;
    int thread_;
};

}  // namespace kvm::test
