// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vmm/device/reactor.hpp>

namespace vmm {

/// How much of something there may be.
struct Rate {
    std::uint64_t per_second = 0;  ///< 0: no limit
    /// What may be taken at once after a rest. 0: a tenth of a second's.
    std::uint64_t burst = 0;

    friend bool operator==(const Rate&, const Rate&) = default;
};

/// Of a disk or a network's direction.
struct RateLimits {
    Rate bytes{};
    Rate operations{};

    friend bool operator==(const RateLimits&, const RateLimits&) = default;
};

/// A bucket of tokens, which fills at a rate and holds a burst. Whoever comes while it is not empty
/// gets all that he wants: so a request may be larger than the bucket, and those after it wait
/// until what is owed is paid.
class TokenBucket {
public:
    using Time = std::chrono::nanoseconds;  ///< since any moment; it only goes forward

    /// A full one.
    explicit TokenBucket(const Rate& rate);

    /// How long it stays empty: 0 if take() may be called.
    Time wait(Time now) const;
    void take(std::uint64_t tokens, Time now);

private:
    double nanoseconds_each_ = 0;  // 0: no limit
    Time burst_{};                 // how long the bucket takes to fill
    Time full_at_{};               // when it will have filled
};

/// Bytes and operations, of one device or direction: on its reactor.
class RateLimiter {
public:
    /// `again` is called, on the reactor, when admit() refused and may be asked again. Errors:
    /// EMFILE. Without limits it needs no timer.
    static Result<RateLimiter> create(const RateLimits& limits, Reactor& reactor,
                                      std::function<void()> again);

    /// Whether an operation on so many bytes may go on now; then it is counted.
    bool admit(std::uint64_t bytes);

private:
    RateLimiter(const RateLimits& limits, std::optional<Reactor::Timer> timer)
        : bytes_(limits.bytes), operations_(limits.operations), timer_(std::move(timer)) {}

    TokenBucket bytes_;
    TokenBucket operations_;
    std::optional<Reactor::Timer> timer_;  // none: no limits
};

}  // namespace vmm
