// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <kvm/fd.hpp>
#include <kvm/flags.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vmm/error.hpp>

namespace vmm {

/// What a descriptor is ready for. epoll(7)'s numbers.
enum class Ready : std::uint32_t {
    read = 0x1,     // EPOLLIN
    write = 0x4,    // EPOLLOUT
    error = 0x8,    // EPOLLERR: always waited for
    hang_up = 0x10  // EPOLLHUP: always waited for
};

}  // namespace vmm

template <>
inline constexpr bool kvm::is_flag_enum<vmm::Ready> = true;

namespace vmm {

using kvm::operator|;

/// The thread on which devices do their work: it waits for descriptors and timers, and calls what
/// is to be done.
///
/// Everything on a reactor, handlers and what call() is given, happens one at a time: so a device
/// that is used there alone needs no locks. Handlers must not block. All methods may be called by
/// any thread; what a handler does is on the reactor already.
class Reactor {
public:
    using Handler = std::function<void(kvm::Flags<Ready>)>;

    /// A descriptor that is waited for, until this is destroyed, by any thread and before the
    /// descriptor is closed: thereafter its handler is not called, and runs in no other thread. It
    /// must not outlive the reactor.
    class Watch {
    public:
        Watch() = default;
        Watch(Watch&& other) noexcept;
        Watch& operator=(Watch&& other) noexcept;
        ~Watch();
        /// Waits for these from now on; none: for errors alone. On the reactor.
        Result<void> set(kvm::Flags<Ready> events) const;
        explicit operator bool() const { return reactor_ != nullptr; }

    private:
        friend class Reactor;
        Watch(Reactor& reactor, std::uint64_t key, int fd)
            : reactor_(&reactor), key_(key), fd_(fd) {}
        Reactor* reactor_ = nullptr;
        std::uint64_t key_ = 0;
        int fd_ = -1;
    };

    /// A timer that calls its handler on the reactor, until it is destroyed, as a Watch is.
    /// CLOCK_MONOTONIC.
    class Timer {
    public:
        Timer(Timer&&) noexcept = default;
        Timer& operator=(Timer&& other) noexcept {
            watch_ = std::move(other.watch_);  // while the old descriptor is still open
            fd_ = std::move(other.fd_);
            return *this;
        }
        /// Once, after `delay`, in place of what was set before. 0: as soon as may be.
        void start(std::chrono::nanoseconds delay) const;
        void cancel() const;

    private:
        friend class Reactor;
        Timer(kvm::Fd fd, Watch watch) : fd_(std::move(fd)), watch_(std::move(watch)) {}
        kvm::Fd fd_;
        Watch watch_;  // before its descriptor ends
    };

    static Result<std::unique_ptr<Reactor>> create();
    Reactor(const Reactor&) = delete;
    Reactor& operator=(const Reactor&) = delete;
    /// stop()
    ~Reactor();

    /// Calls `handler` whenever `fd`, which is borrowed, is ready for one of `events`: level
    /// triggered. Errors: EPERM (a regular file), EEXIST (watched already), ENOSPC.
    Result<Watch> watch(kvm::FdRef fd, kvm::Flags<Ready> events, Handler handler);
    /// Errors: EMFILE.
    Result<Timer> timer(std::function<void()> handler);

    /// Does `what` on the reactor, in the caller's thread, when what goes on there is done; also
    /// while it is paused, not started or stopped. Within it, call() is plain.
    void call(const std::function<void()>& what);

    /// Begins to wait, on a thread of this name (15 characters), which is of SCHED_BATCH where the
    /// caller's is SCHED_OTHER: it does not preempt a vCPU. Errors: EAGAIN (no thread).
    Result<void> start(const std::string& name);
    /// When it returns no handler runs, and none will until resume().
    void pause();
    void resume();
    /// Ends the thread.
    void stop();

    /// Waits for `patience` at most and calls the handlers of what is ready, on the caller's
    /// thread: for a reactor without one. How many it called.
    int turn(std::chrono::milliseconds patience);

private:
    Reactor(kvm::Fd epoll, kvm::EventFd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)) {}
    void run();
    void forget(std::uint64_t key, int fd);

    kvm::Fd epoll_;
    kvm::EventFd wake_;           // ends the wait, for stop() and pause()
    std::recursive_mutex mutex_;  // of the devices on the reactor, and of what follows
    std::condition_variable_any changed_;
    std::map<std::uint64_t, std::shared_ptr<Handler>> handlers_;
    std::uint64_t next_key_ = 1;  // 0 is wake_'s
    bool paused_ = false;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace vmm
