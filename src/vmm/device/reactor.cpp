// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <array>
#include <cerrno>
#include <kvm/try.hpp>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <system_error>
#include <unistd.h>
#include <vmm/device/reactor.hpp>

namespace vmm {

namespace {

epoll_event event_of(kvm::Flags<Ready> events, std::uint64_t key) {
    epoll_event event{};
    event.events = events.bits();
    event.data.u64 = key;
    return event;
}

/// Where devices share a CPU with their guest they take their turn, and do not interrupt it
/// whenever it asks for something: it asks for more by then. A policy that somebody chose stays.
void give_way() {
    const sched_param none{};
    if (::sched_getscheduler(0) == SCHED_OTHER) {
        (void)::sched_setscheduler(0, SCHED_BATCH, &none);  // needs no privilege
    }
}

}  // namespace

Reactor::Watch::Watch(Watch&& other) noexcept
    : reactor_(std::exchange(other.reactor_, nullptr)), key_(other.key_), fd_(other.fd_) {}

Reactor::Watch& Reactor::Watch::operator=(Watch&& other) noexcept {
    const Watch old(std::move(*this));
    reactor_ = std::exchange(other.reactor_, nullptr);
    key_ = other.key_;
    fd_ = other.fd_;
    return *this;
}

Reactor::Watch::~Watch() {
    if (reactor_) {
        reactor_->forget(key_, fd_);
    }
}

Result<void> Reactor::Watch::set(kvm::Flags<Ready> events) const {
    epoll_event event = event_of(events, key_);
    if (::epoll_ctl(reactor_->epoll_.number(), EPOLL_CTL_MOD, fd_, &event) != 0) {
        return fail_errno("epoll_ctl", errno);
    }
    return {};
}

void Reactor::Timer::start(std::chrono::nanoseconds delay) const {
    constexpr std::int64_t second = 1'000'000'000;
    const std::int64_t count = std::max<std::int64_t>(delay.count(), 1);  // 0 would be: never
    const itimerspec when{{}, {count / second, count % second}};
    (void)::timerfd_settime(fd_.number(), 0, &when, nullptr);  // cannot fail
}

void Reactor::Timer::cancel() const {
    const itimerspec never{};
    (void)::timerfd_settime(fd_.number(), 0, &never, nullptr);
}

Result<std::unique_ptr<Reactor>> Reactor::create() {
    kvm::Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll.valid()) {
        return fail_errno("epoll_create1", errno);
    }
    auto wake = KVM_TRY(kvm::EventFd::create(0, kvm::EventFdFlag::nonblock));
    epoll_event event = event_of(Ready::read, 0);
    if (::epoll_ctl(epoll.number(), EPOLL_CTL_ADD, wake.fd().number(), &event) != 0) {
        return fail_errno("epoll_ctl", errno);
    }
    return std::unique_ptr<Reactor>(new Reactor(std::move(epoll), std::move(wake)));
}

Reactor::~Reactor() { stop(); }

Result<Reactor::Watch> Reactor::watch(kvm::FdRef fd, kvm::Flags<Ready> events, Handler handler) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t key = next_key_++;
    epoll_event event = event_of(events, key);
    if (::epoll_ctl(epoll_.number(), EPOLL_CTL_ADD, fd.number(), &event) != 0) {
        return fail_errno("epoll_ctl", errno);
    }
    handlers_.emplace(key, std::make_shared<Handler>(std::move(handler)));
    return Watch(*this, key, fd.number());
}

Result<Reactor::Timer> Reactor::timer(std::function<void()> handler) {
    kvm::Fd fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!fd.valid()) {
        return fail_errno("timerfd_create", errno);
    }
    const int number = fd.number();
    auto watch = KVM_TRY(
        this->watch(fd, Ready::read, [number, handler = std::move(handler)](kvm::Flags<Ready>) {
            std::uint64_t expirations = 0;
            if (::read(number, &expirations, sizeof expirations) == sizeof expirations) {
                handler();  // else it was cancelled or started anew meanwhile
            }
        }));
    return Timer(std::move(fd), std::move(watch));
}

void Reactor::forget(std::uint64_t key, int fd) {
    const std::lock_guard lock(mutex_);
    epoll_event event{};
    (void)::epoll_ctl(epoll_.number(), EPOLL_CTL_DEL, fd, &event);  // closed: it is gone already
    handlers_.erase(key);
}

void Reactor::call(const std::function<void()>& what) {
    const std::lock_guard lock(mutex_);
    what();
}

Result<void> Reactor::start(const std::string& name) {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = false;
    }
    try {
        thread_ = std::thread([this, name] {
            (void)::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
            give_way();
            run();
        });
    } catch (const std::system_error& error) {
        return fail_errno("a thread for devices", error.code().value());
    }
    return {};
}

void Reactor::run() {
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [&] { return !paused_ || stopping_; });
            if (stopping_) {
                return;
            }
        }
        (void)turn(std::chrono::milliseconds(-1));
    }
}

int Reactor::turn(std::chrono::milliseconds patience) {
    std::array<epoll_event, 32> events;
    const int ready = ::epoll_wait(epoll_.number(), events.data(), static_cast<int>(events.size()),
                                   static_cast<int>(patience.count()));
    int called = 0;
    for (int i = 0; i < ready; ++i) {  // none, if a signal came
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        const std::uint64_t key = event.data.u64;  // a copy: epoll_event is packed
        if (key == 0) {
            (void)wake_.read();
            continue;
        }
        const std::lock_guard lock(mutex_);
        if (paused_ || stopping_) {
            continue;  // it stays ready
        }
        // An earlier handler may have ended this one's watch; and a handler may end its own.
        if (const auto found = handlers_.find(key); found != handlers_.end()) {
            const auto handler = found->second;
            (*handler)(kvm::Flags<Ready>(std::uint32_t(event.events)));
            ++called;
        }
    }
    return called;
}

void Reactor::pause() {
    const std::lock_guard lock(mutex_);
    paused_ = true;
    (void)wake_.write();
}

void Reactor::resume() {
    {
        const std::lock_guard lock(mutex_);
        paused_ = false;
    }
    changed_.notify_all();
}

void Reactor::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        (void)wake_.write();
    }
    changed_.notify_all();
    if (thread_.joinable()) {
        thread_.join();
    }
}

}  // namespace vmm
