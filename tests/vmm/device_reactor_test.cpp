// SPDX-License-Identifier: Apache-2.0 OR MIT
// No KVM is needed.
#include "result.hpp"

#include <atomic>
#include <gtest/gtest.h>
#include <sched.h>
#include <thread>
#include <unistd.h>
#include <vmm/device/reactor.hpp>

namespace vmm::test {
namespace {

using namespace std::chrono_literals;

/// A reactor and a descriptor to be ready.
class ReactorTest : public testing::Test {
protected:
    std::unique_ptr<Reactor> reactor = must(Reactor::create());
    kvm::EventFd event = must(kvm::EventFd::create(0, kvm::EventFdFlag::nonblock));
    std::atomic<int> calls = 0;

    Reactor::Watch count() {
        return must(reactor->watch(event, Ready::read, [this](kvm::Flags<Ready> ready) {
            EXPECT_TRUE(ready.has(Ready::read));
            (void)event.read();
            ++calls;
        }));
    }
    void ring() { must(event.write()); }
    bool eventually(int n) {
        for (int i = 0; i < 5000 && calls < n; ++i) {
            std::this_thread::sleep_for(1ms);
        }
        return calls == n;
    }
};

TEST_F(ReactorTest, CallsTheHandlerOfWhatIsReadyAndOfNothingElse) {
    const auto watch = count();
    EXPECT_EQ(reactor->turn(0ms), 0);
    ring();
    EXPECT_EQ(reactor->turn(1s), 1);
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(reactor->turn(0ms), 0);
}

TEST_F(ReactorTest, DoesSoOnItsThread) {
    std::thread::id id;
    const auto watch = must(reactor->watch(event, Ready::read, [&](kvm::Flags<Ready>) {
        (void)event.read();
        id = std::this_thread::get_id();
        ++calls;
    }));
    must(reactor->start("devices"));
    ring();
    EXPECT_TRUE(eventually(1));
    reactor->stop();
    EXPECT_NE(id, std::thread::id());
    EXPECT_NE(id, std::this_thread::get_id());
}

TEST_F(ReactorTest, ItsThreadDoesNotInterruptOthersThatRun) {
    std::atomic<int> policy = -1;
    const auto watch = must(reactor->watch(event, Ready::read, [&](kvm::Flags<Ready>) {
        (void)event.read();
        policy = ::sched_getscheduler(0);
    }));
    must(reactor->start("devices"));
    ring();
    for (int i = 0; i < 1000 && policy == -1; ++i) {
        std::this_thread::sleep_for(10ms);
    }
    const int mine = ::sched_getscheduler(0);
    EXPECT_EQ(policy, mine == SCHED_OTHER ? SCHED_BATCH : mine);
    reactor->stop();
}

TEST_F(ReactorTest, AnEndedWatchIsNotCalled) {
    {
        const auto watch = count();
        ring();
    }
    EXPECT_EQ(reactor->turn(0ms), 0);
    EXPECT_EQ(calls, 0);
}

TEST_F(ReactorTest, AHandlerMayEndItsOwnWatchAndAnother) {
    const auto other_event = must(kvm::EventFd::create(1));
    std::vector<Reactor::Watch> watches;
    const auto end_all = [&](kvm::Flags<Ready>) {
        ++calls;
        watches.clear();
    };
    watches.push_back(must(reactor->watch(event, Ready::read, end_all)));
    watches.push_back(must(reactor->watch(other_event, Ready::read, end_all)));
    ring();
    EXPECT_EQ(reactor->turn(1s), 1) << "both were ready, and the first ended the second";
    EXPECT_EQ(calls, 1);
}

TEST_F(ReactorTest, AWatchThatWaitsForNothingIsQuiet) {
    const auto watch = count();
    must(watch.set({}));
    ring();
    EXPECT_EQ(reactor->turn(0ms), 0);
    must(watch.set(Ready::read));
    EXPECT_EQ(reactor->turn(0ms), 1);
}

TEST_F(ReactorTest, ADescriptorIsWatchedOnce) {
    const auto watch = count();
    EXPECT_EQ(reactor->watch(event, Ready::read, [](kvm::Flags<Ready>) {}).error().code, EEXIST);
}

TEST_F(ReactorTest, AWatchThatTakesAnothersPlaceEndsIt) {
    const auto other_event = must(kvm::EventFd::create(1));
    auto watch = count();
    watch = must(reactor->watch(other_event, Ready::read, [](kvm::Flags<Ready>) {}));
    ring();
    EXPECT_EQ(reactor->turn(0ms), 1) << "the other";
    EXPECT_EQ(calls, 0);
}

TEST_F(ReactorTest, ATimerComesOnceAndLaterAgain) {
    const auto timer = must(reactor->timer([&] { ++calls; }));
    EXPECT_EQ(reactor->turn(0ms), 0);
    timer.start(0ns);
    EXPECT_EQ(reactor->turn(1s), 1);
    EXPECT_EQ(reactor->turn(2ms), 0);
    timer.start(1ms);
    EXPECT_EQ(reactor->turn(1s), 1);
    EXPECT_EQ(calls, 2);
}

TEST_F(ReactorTest, ACancelledTimerDoesNotCome) {
    const auto timer = must(reactor->timer([&] { ++calls; }));
    timer.start(0ns);
    timer.cancel();
    EXPECT_EQ(reactor->turn(2ms), 0);
    EXPECT_EQ(calls, 0);
}

TEST_F(ReactorTest, PausedItCallsNothingAndLosesNothing) {
    const auto watch = count();
    must(reactor->start("devices"));
    reactor->pause();
    ring();
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(calls, 0);
    bool called = false;
    reactor->call([&] { called = true; });
    EXPECT_TRUE(called) << "of itself, it does";
    reactor->resume();
    EXPECT_TRUE(eventually(1));
}

TEST_F(ReactorTest, StoppedItMayBeStartedAgain) {
    const auto watch = count();
    must(reactor->start("devices"));
    reactor->stop();
    ring();
    EXPECT_EQ(calls, 0);
    must(reactor->start("devices"));
    EXPECT_TRUE(eventually(1));
}

TEST_F(ReactorTest, HandlersAndCallsHappenOneAtATime) {
    int unguarded = 0;
    constexpr int rounds = 2000;
    const auto watch = must(reactor->watch(event, Ready::read, [&](kvm::Flags<Ready>) {
        (void)event.read();
        ++unguarded;  // the thread sanitizer would tell
    }));
    must(reactor->start("devices"));
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < rounds; ++i) {
                ring();
                reactor->call([&] { reactor->call([&] { ++unguarded; }); });
            }
        });
    }
    threads.clear();
    int seen = 0;
    reactor->call([&] { seen = unguarded; });
    EXPECT_GE(seen, 3 * rounds);
}

TEST_F(ReactorTest, WatchesComeAndGoWhileItWorks) {
    must(reactor->start("devices"));
    for (int i = 0; i < 2000; ++i) {
        int inside = 0;
        const auto watch = must(reactor->watch(event, Ready::read, [&](kvm::Flags<Ready>) {
            (void)event.read();
            ++inside;
        }));
        ring();
        if (i % 2) {
            std::this_thread::yield();
        }
    }  // whose handler uses what is gone now, if it were called
    reactor->stop();
}

}  // namespace
}  // namespace vmm::test
