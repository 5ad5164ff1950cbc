// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <csignal>
#include <support/watchdog.hpp>
#include <system_error>
#include <unistd.h>

namespace kvm::test {

namespace {

int watchdog_signal() {
    static const int signal = [] {
        const int number = SIGRTMAX - 3;
        struct sigaction action = {};
        action.sa_handler = [](int) {};  // without SA_RESTART
        if (sigaction(number, &action, nullptr) != 0) {
            throw std::system_error(errno, std::generic_category(), "sigaction of the watchdog");
        }
        return number;
    }();
    return signal;
}

timespec as_timespec(std::chrono::milliseconds time) {
    return {time.count() / 1000, time.count() % 1000 * 1'000'000};
}

}  // namespace

Watchdog::Watchdog(std::chrono::milliseconds limit)
    : end_(std::chrono::steady_clock::now() + limit), timer_() {
    sigevent event = {};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = watchdog_signal();
    event._sigev_un._tid = gettid();
    const itimerspec times = {as_timespec(std::chrono::milliseconds(100)), as_timespec(limit)};
    if (timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0) {
        throw std::system_error(errno, std::generic_category(), "timer_create of the watchdog");
    }
    if (timer_settime(timer_, 0, &times, nullptr) != 0) {
        const int error = errno;
        timer_delete(timer_);
        throw std::system_error(error, std::generic_category(), "timer_settime of the watchdog");
    }
}

Watchdog::~Watchdog() { timer_delete(timer_); }

}  // namespace kvm::test
