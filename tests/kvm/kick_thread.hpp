// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <atomic>
#include <cstdlib>
#include <functional>
#include <future>
#include <semaphore>
#include <support/guest.hpp>
#include <support/result.hpp>
#include <thread>

namespace kvm::test {

/// A suite with a KVM and a handler for Kick's signal.
class WithKick : public WithKvm {
protected:
    void SetUp() override {
        WithKvm::SetUp();
        ASSERT_OK(install_kick_handler());
    }
};

/// What outcome() says of an interruption and of a guest that stops.
inline const std::string interrupted = kvm::name(ExitReason::intr), stopped = "stopped";
/// Runs to the next exit, and says which.
inline std::string outcome(Vcpu& vcpu) {
    const Exit exit = must(vcpu.run());
    return is_stop(exit) ? stopped : describe(exit);
}

/// A thread that makes a Kick for a vCPU, and then does `body` with that vCPU.
class VcpuThread {
public:
    VcpuThread(Vcpu& vcpu, std::function<void(Vcpu&)> body) {
        std::promise<Kick> promise;
        auto future = promise.get_future();
        thread_ = std::thread([&vcpu, body = std::move(body), &promise] {
            try {
                promise.set_value(must(vcpu.create_kick()));
            } catch (...) {
                promise.set_exception(std::current_exception());
                return;
            }
            body(vcpu);
        });
        try {
            kick_.emplace(future.get());
        } catch (...) {
            thread_.join();
            throw;
        }
    }
    ~VcpuThread() {
        if (thread_.joinable()) {
            thread_.join();
        }
    }
    VcpuThread(const VcpuThread&) = delete;
    VcpuThread& operator=(const VcpuThread&) = delete;

    const Kick& kick() const { return *kick_; }
    void join() { thread_.join(); }

private:
    std::thread thread_;
    std::optional<Kick> kick_;
};

/// Who kicks says what it wants, kicks, and waits for the vCPU's thread to have seen it. The
/// numbers are relaxed: that they arrive is what the Kick promises.
class Doorbell {
public:
    /// The vCPU's thread, once run() has been interrupted. Whether there was news.
    bool answer() {
        ++interruptions_;
        const u64 wanted = wanted_.load(std::memory_order_relaxed);
        const bool news = wanted != seen_;
        seen_ = wanted;
        if (news) {
            heard_.release();
        }
        return news;
    }
    /// Rings and waits, at most 10 s: longer, and the wake-up was lost.
    bool ring(const Kick& kick) {
        const u64 number = wanted_.load(std::memory_order_relaxed) + 1;
        wanted_.store(number, std::memory_order_relaxed);
        kick();
        return heard_.try_acquire_for(std::chrono::seconds(10));
    }
    /// The vCPU's thread should end. To be followed by kicks.
    void close() { closed_.store(true, std::memory_order_relaxed); }
    bool closed() const { return closed_.load(std::memory_order_relaxed); }
    u64 interruptions() const { return interruptions_; }

private:
    std::atomic<u64> wanted_{0};
    std::atomic<bool> closed_{false};
    std::counting_semaphore<> heard_{0};
    u64 seen_ = 0, interruptions_ = 0;  // the vCPU's thread's, until it is joined
};

/// How many kicks: $KVMXX_STRESS; without it `usual`, or as many as 3 s allow on a busy machine.
class Stress {
public:
    explicit Stress(u64 usual) {
        if (const char* number = std::getenv("KVMXX_STRESS")) {
            most_ = std::strtoull(number, nullptr, 0);
            end_ = std::chrono::steady_clock::time_point::max();
        } else {
            most_ = usual;
        }
    }
    /// Whether `done` are not enough yet.
    bool goes_on(u64 done) const {
        return done < most_ && (done < 100 || std::chrono::steady_clock::now() < end_);
    }

private:
    u64 most_;
    std::chrono::steady_clock::time_point end_ =
        std::chrono::steady_clock::now() + std::chrono::seconds(3);
};

/// Rings as often as `stress` says, and returns how often; a wake-up that was lost fails the test.
inline u64 ring_often(Doorbell& bell, const Kick& kick, const Stress& stress) {
    u64 answered = 0;
    for (; stress.goes_on(answered); ++answered) {
        if (!bell.ring(kick)) {
            ADD_FAILURE() << "kick " << answered << " was lost";
            break;
        }
    }
    return answered;
}

}  // namespace kvm::test
