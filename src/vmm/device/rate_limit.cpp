// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <kvm/try.hpp>
#include <vmm/device/rate_limit.hpp>

namespace vmm {

namespace {

/// What a number of nanoseconds is at most: 73 years, so that two of them can be added.
constexpr double longest = 0x1p61;

TokenBucket::Time nanoseconds(double n) {
    return TokenBucket::Time(static_cast<TokenBucket::Time::rep>(std::min(n, longest)));
}

}  // namespace

TokenBucket::TokenBucket(const Rate& rate) {
    if (rate.per_second != 0) {
        nanoseconds_each_ = 1e9 / static_cast<double>(rate.per_second);
        burst_ = rate.burst != 0 ? nanoseconds(static_cast<double>(rate.burst) * nanoseconds_each_)
                                 : std::chrono::milliseconds(100);
    }
}

TokenBucket::Time TokenBucket::wait(Time now) const {
    return full_at_ > now ? std::max(full_at_ - now - burst_, Time(0)) : Time(0);
}

void TokenBucket::take(std::uint64_t tokens, Time now) {
    const auto from = std::min(std::max(full_at_, now), nanoseconds(longest));
    full_at_ = from + nanoseconds(static_cast<double>(tokens) * nanoseconds_each_);
}

Result<RateLimiter> RateLimiter::create(const RateLimits& limits, Reactor& reactor,
                                        std::function<void()> again) {
    std::optional<Reactor::Timer> timer;
    if (limits.bytes.per_second != 0 || limits.operations.per_second != 0) {
        timer = KVM_TRY(reactor.timer(std::move(again)));
    }
    return RateLimiter(limits, std::move(timer));
}

bool RateLimiter::admit(std::uint64_t bytes) {
    if (!timer_) {
        return true;
    }
    const TokenBucket::Time now = std::chrono::steady_clock::now().time_since_epoch();
    const auto wait = std::max(bytes_.wait(now), operations_.wait(now));
    if (wait > TokenBucket::Time(0)) {
        timer_->start(wait);
        return false;
    }
    bytes_.take(bytes, now);
    operations_.take(1, now);
    return true;
}

}  // namespace vmm
