// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <csignal>
#include <mutex>
#include <support/watchdog.hpp>
#include <thread>
#include <unistd.h>
#include <vector>

namespace kvm::test {

/// One thread for all watchdogs of the program: a run then costs no system call.
class WatchdogThread {
public:
    static WatchdogThread& get() {
        static WatchdogThread thread;
        return thread;
    }
    void add(Watchdog* dog) {
        const std::lock_guard lock(mutex_);
        dogs_.push_back(dog);
    }
    void remove(Watchdog* dog) {
        const std::lock_guard lock(mutex_);
        std::erase(dogs_, dog);
    }

private:
    WatchdogThread() {
        struct sigaction action = {};
        action.sa_handler = [](int) {};  // without SA_RESTART
        sigaction(SIGALRM, &action, nullptr);
        thread_ = std::jthread([this](const std::stop_token& stop) {
            while (!stop.stop_requested()) {
                std::this_thread::sleep_for(std::chrono::milliseconds(50));
                bark();
            }
        });
    }
    void bark() {
        const std::lock_guard lock(mutex_);
        for (const Watchdog* dog : dogs_) {
            if (dog->expired()) {
                tgkill(getpid(), dog->thread_, SIGALRM);
            }
        }
    }

    std::mutex mutex_;
    std::vector<Watchdog*> dogs_;
    std::jthread thread_;
};

Watchdog::Watchdog(std::chrono::milliseconds limit)
    : end_(std::chrono::steady_clock::now() + limit), thread_(gettid()) {
    WatchdogThread::get().add(this);
}

Watchdog::~Watchdog() { WatchdogThread::get().remove(this); }

}  // namespace kvm::test
