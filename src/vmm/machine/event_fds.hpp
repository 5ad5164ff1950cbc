// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <kvm/fd.hpp>
#include <vmm/error.hpp>

namespace vmm::detail {

/// An eventfd that poll(2) waits for: set() makes it readable, clear() does not. Neither blocks,
/// and set() is async-signal-safe.
class Wake {
public:
    static Result<Wake> create();

    void set() const noexcept;
    void clear() const noexcept;
    int fd() const { return event_.fd().number(); }

private:
    explicit Wake(kvm::EventFd event) : event_(std::move(event)) {}
    kvm::EventFd event_;
};

/// A timerfd, CLOCK_MONOTONIC: readable once `delay` after start() has passed.
class Timer {
public:
    static Result<Timer> create();

    void start(std::chrono::nanoseconds delay) const noexcept;
    void clear() const noexcept;
    int fd() const { return fd_.number(); }

private:
    explicit Timer(kvm::Fd fd) : fd_(std::move(fd)) {}
    kvm::Fd fd_;
};

}  // namespace vmm::detail
