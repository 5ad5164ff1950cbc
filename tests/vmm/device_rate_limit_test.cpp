// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <gtest/gtest.h>

#include <limits>
#include <vmm/device/rate_limit.hpp>
#include <vmm/result.hpp>

namespace vmm::test {
namespace {

using namespace std::chrono_literals;
using Time = TokenBucket::Time;

TEST(TokenBucket, WithoutALimitNeverWaits) {
    TokenBucket bucket{Rate{}};
    bucket.take(std::numeric_limits<std::uint64_t>::max(), 1s);
    EXPECT_EQ(bucket.wait(1s), 0ns);
}

TEST(TokenBucket, GivesABurstAndThenTheRate) {
    TokenBucket bucket({.per_second = 1000, .burst = 10});
    int given = 0;
    for (Time now = 0s; now < 1s; now += 100us) {
        while (bucket.wait(now) == 0ns) {
            bucket.take(1, now);
            ++given;
        }
    }
    EXPECT_GE(given, 1009);
    EXPECT_LE(given, 1011);
}

TEST(TokenBucket, ALargeRequestIsPaidByThoseAfterIt) {
    TokenBucket bucket({.per_second = 1000, .burst = 10});
    ASSERT_EQ(bucket.wait(1s), 0ns);
    bucket.take(5000, 1s);
    EXPECT_EQ(bucket.wait(1s), 4990ms);
    EXPECT_EQ(bucket.wait(5s), 990ms);
    EXPECT_EQ(bucket.wait(6s), 0ns);
}

TEST(TokenBucket, ARestFillsItToTheBurstOnly) {
    TokenBucket bucket({.per_second = 1000, .burst = 10});
    bucket.take(1, 0s);
    bucket.take(10, 3600s);
    EXPECT_EQ(bucket.wait(3600s), 0ns);
    bucket.take(1, 3600s);
    EXPECT_EQ(bucket.wait(3600s), 1ms);
}

TEST(TokenBucket, TheUsualBurstIsATenthOfASecond) {
    TokenBucket bucket({.per_second = 1000});
    bucket.take(101, 1s);
    EXPECT_EQ(bucket.wait(1s), 1ms);
}

TEST(TokenBucket, NoNumberIsTooLarge) {
    constexpr auto most = std::numeric_limits<std::uint64_t>::max();
    for (const std::uint64_t rate : {std::uint64_t(1), most}) {
        TokenBucket bucket({.per_second = rate, .burst = most});
        for (int n = 0; n < 8; ++n) {
            bucket.take(most, Time::max());
            EXPECT_GE(bucket.wait(Time::max()), 0ns);
        }
        EXPECT_GE(bucket.wait(0ns), 0ns);
    }
}

TEST(RateLimiter, WithoutLimitsAdmitsAll) {
    const auto reactor = must(Reactor::create());
    auto limiter = must(RateLimiter::create({}, *reactor, [] { FAIL(); }));
    for (int n = 0; n < 1000; ++n) {
        EXPECT_TRUE(limiter.admit(1 << 30));
    }
}

TEST(RateLimiter, CallsAgainWhenItMayBeAsked) {
    for (const RateLimits& limits : {RateLimits{.bytes = {.per_second = 50000, .burst = 500}},
                                     RateLimits{.operations = {.per_second = 100, .burst = 1}}}) {
        const auto reactor = must(Reactor::create());
        int calls = 0;
        auto limiter = must(RateLimiter::create(limits, *reactor, [&] { ++calls; }));
        int admitted = 0;
        while (limiter.admit(500)) {
            ASSERT_LT(++admitted, 10);
        }
        EXPECT_GE(admitted, 1);
        EXPECT_FALSE(limiter.admit(500));
        while (calls == 0) {
            reactor->turn(1s);
        }
        EXPECT_EQ(calls, 1);
        EXPECT_TRUE(limiter.admit(500));
    }
}

}  // namespace
}  // namespace vmm::test
