// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/try.hpp>
#include <sys/timerfd.h>
#include <unistd.h>
#include <vmm/machine/event_fds.hpp>

namespace vmm::detail {

Result<Wake> Wake::create() {
    return Wake(KVM_TRY(kvm::EventFd::create(0, kvm::EventFdFlag::nonblock)));
}

void Wake::set() const noexcept {
    const int saved = errno;
    (void)event_.write();  // fails only when it is set already, to the limit
    errno = saved;
}

void Wake::clear() const noexcept {
    (void)event_.read();  // fails only when it is not set
}

Result<Timer> Timer::create() {
    const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0) {
        return fail_errno("timerfd_create", errno);
    }
    return Timer(kvm::Fd(fd));
}

void Timer::start(std::chrono::nanoseconds delay) const noexcept {
    const auto ns = delay.count() > 0 ? delay.count() : 1;  // 0 would stop it
    const itimerspec time{{0, 0}, {ns / 1'000'000'000, ns % 1'000'000'000}};
    (void)timerfd_settime(fd_.number(), 0, &time, nullptr);  // cannot fail: the time is valid
}

void Timer::clear() const noexcept {
    std::uint64_t expirations;
    [[maybe_unused]] const auto n = ::read(fd_.number(), &expirations, sizeof expirations);
}

}  // namespace vmm::detail
