// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "kick_thread.hpp"
#include "script.hpp"

#include <csignal>
#include <interrupts.hpp>
#include <pthread.h>

namespace kvm::test {
namespace {

using namespace std::chrono_literals;

class KickTest : public WithKick {};

TEST_F(KickTest, BeforeRunMakesTheNextRunReturnOnce) {
    Guest guest(kvm());
    guest.load(guests::stop());
    const Kick kick = must(guest.vcpu().create_kick());
    kick();
    EXPECT_EQ(outcome(guest.vcpu()), interrupted);
    EXPECT_EQ(outcome(guest.vcpu()), stopped);
}

TEST_F(KickTest, AfterRunWaitsForTheNextRun) {
    Guest guest(kvm());
    guest.load(guests::stop());
    const Kick kick = must(guest.vcpu().create_kick());
    EXPECT_EQ(outcome(guest.vcpu()), stopped);
    kick();
    kick();  // two before run() returns are one
    EXPECT_EQ(outcome(guest.vcpu()), interrupted);
    EXPECT_EQ(outcome(guest.vcpu()), stopped);
}

TEST_F(KickTest, DuringRunEndsIt) {
    Guest guest(kvm());
    guest.load(guests::spin());
    const Kick kick = must(guest.vcpu().create_kick());
    std::thread other([&] {
        std::this_thread::sleep_for(50ms);
        kick();
    });
    EXPECT_EQ(guest.run().reason(), ExitReason::intr);
    other.join();
}

TEST_F(KickTest, WakesAVcpuThatHaltsInTheKernel) {
    if (const std::string why = InterruptGuest::missing(kvm()); !why.empty()) {
        GTEST_SKIP() << why;
    }
    InterruptGuest guest(kvm());
    guest.load_waiting({{wait}});
    const Kick kick = must(guest.vcpu().create_kick());
    std::thread other([&] {
        std::this_thread::sleep_for(50ms);
        kick();
    });
    EXPECT_EQ(guest.run().reason(), ExitReason::intr);
    other.join();
}

TEST_F(KickTest, WakesAVcpuThatWaitsForItsStartUp) {
    Guest guest(kvm(), before_start_up);
    Vcpu second = vcpu_before_start_up(guest.vm(), VcpuId(1));
    const Kick kick = must(second.create_kick());
    std::thread other([&] {
        std::this_thread::sleep_for(50ms);
        kick();
    });
    const Watchdog watchdog(10s);
    EXPECT_EQ(outcome(second), interrupted);
    EXPECT_FALSE(watchdog.expired());
    other.join();
}

std::optional<Kick> kick_of_handler;

/// Has SIGUSR1 kick while the test lasts.
class KickFromHandler {
public:
    explicit KickFromHandler(Kick kick) {
        kick_of_handler.emplace(std::move(kick));
        struct sigaction action = {};
        action.sa_handler = [](int) { (*kick_of_handler)(); };
        sigaction(SIGUSR1, &action, &before_);
    }
    ~KickFromHandler() {
        sigaction(SIGUSR1, &before_, nullptr);
        kick_of_handler.reset();
    }

private:
    struct sigaction before_ = {};
};

TEST_F(KickTest, FromASignalHandlerOnTheVcpusThreadIsNotLost) {
    Guest guest(kvm());
    guest.load(guests::stop());
    const KickFromHandler handler(must(guest.vcpu().create_kick()));
    raise(SIGUSR1);  // runs before run(): without the flag, nothing would be left of it
    EXPECT_EQ(outcome(guest.vcpu()), interrupted);
    EXPECT_EQ(outcome(guest.vcpu()), stopped);
}

TEST_F(KickTest, FromASignalHandlerOnAnotherThreadEndsRun) {
    Guest guest(kvm());
    guest.load(guests::spin());
    const KickFromHandler handler(must(guest.vcpu().create_kick()));
    std::thread other([] {
        std::this_thread::sleep_for(50ms);
        pthread_kill(pthread_self(), SIGUSR1);
    });
    EXPECT_EQ(guest.run().reason(), ExitReason::intr);
    other.join();
}

TEST_F(KickTest, AfterTheVcpusEndDoesNothing) {
    std::optional<Kick> kick;
    {
        Guest guest(kvm());
        kick = must(guest.vcpu().create_kick());
    }
    (*kick)();
    const Kick copy = *kick;
    kick.reset();
    copy();
}

TEST_F(KickTest, FollowsAVcpuThatMoves) {
    Guest guest(kvm());
    guest.load(guests::stop());
    Vcpu second = must(guest.vm().create_vcpu(VcpuId(1)));
    const Kick kick = must(guest.vcpu().create_kick());
    const Kick of_second = must(second.create_kick());
    second = std::move(guest.vcpu());  // the second vCPU ends here
    of_second();
    EXPECT_EQ(outcome(second), stopped);
    kick();
    EXPECT_EQ(outcome(second), interrupted);
    EXPECT_EQ(outcome(second), stopped);
}

TEST_F(KickTest, CopiesAreTheSameAndAMovedOneIsEmpty) {
    Guest guest(kvm());
    guest.load(guests::stop());
    Kick first = must(guest.vcpu().create_kick());
    Kick copy = first;
    copy();
    EXPECT_EQ(outcome(guest.vcpu()), interrupted);
    Kick moved = std::move(first);
    first();  // NOLINT(bugprone-use-after-move): that it does nothing is what is tested
    EXPECT_EQ(outcome(guest.vcpu()), stopped);
    copy = moved;
    copy();
    EXPECT_EQ(outcome(guest.vcpu()), interrupted);
}

TEST_F(KickTest, LeavesErrnoAlone) {
    std::optional<Kick> kick;
    std::optional<Guest> guest(std::in_place, kvm());
    std::thread([&] { kick = must(guest->vcpu().create_kick()); }).join();
    errno = 1234;
    (*kick)();  // to a thread that is gone: tgkill fails with ESRCH
    EXPECT_EQ(errno, 1234);
}

TEST_F(KickTest, ReachesOnlyItsOwnVcpu) {
    Guest first(kvm()), second(kvm());
    first.load(guests::spin());
    second.load(guests::spin());
    std::atomic<int> ended{0};
    const auto body = [&](int number) {
        return [&ended, number](Vcpu& vcpu) {
            const Watchdog watchdog(10s);
            EXPECT_EQ(outcome(vcpu), interrupted);
            EXPECT_FALSE(watchdog.expired());
            ended += number;
        };
    };
    VcpuThread one(first.vcpu(), body(1)), two(second.vcpu(), body(2));
    two.kick()();
    two.join();
    std::this_thread::sleep_for(50ms);
    EXPECT_EQ(ended, 2);
    one.kick()();
    one.join();
    EXPECT_EQ(ended, 3);
}

TEST_F(KickTest, FollowsTheVcpuToTheThreadThatAskedLast) {
    Guest guest(kvm());
    guest.load(guests::spin());
    const Kick first = must(guest.vcpu().create_kick());
    for (int i = 0; i < 3; ++i) {
        VcpuThread thread(guest.vcpu(), [](Vcpu& vcpu) {
            const Watchdog watchdog(10s);
            EXPECT_EQ(outcome(vcpu), interrupted);
            EXPECT_FALSE(watchdog.expired());
        });
        std::this_thread::sleep_for(20ms);
        first();
    }
}

TEST_F(KickTest, RefusesASignalThatWouldEndTheProcessOrMayNotEndRun) {
    Guest guest(kvm());
    Vcpu& vcpu = guest.vcpu();
    EXPECT_ERRNO(vcpu.create_kick(SIGUSR2), EINVAL);  // no handler
    EXPECT_ERRNO(vcpu.create_kick(SIGCHLD), EINVAL);
    EXPECT_ERRNO(vcpu.create_kick(SIGKILL), EINVAL);
    for (const int no_signal : {0, -1, 65, 10000}) {
        const auto kick = vcpu.create_kick(no_signal);
        ASSERT_ERRNO(kick, EINVAL);
        EXPECT_EQ(kick.error().detail, static_cast<u32>(no_signal));
    }
    struct sigaction mine = {};
    mine.sa_handler = [](int) {};
    sigaction(SIGRTMIN, &mine, nullptr);
    EXPECT_ERRNO(vcpu.create_kick(SIGRTMIN), EINVAL);  // real-time signals may get lost
    signal(SIGRTMIN, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, kick_signal());
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    EXPECT_ERRNO(vcpu.create_kick(), EINVAL);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    EXPECT_OK(vcpu.create_kick());
}

TEST_F(KickTest, HandlersOfOthersAreNotReplaced) {
    EXPECT_OK(install_kick_handler());  // again: no error
    struct sigaction mine = {}, before = {};
    mine.sa_handler = [](int) {};
    sigaction(SIGUSR2, &mine, &before);
    EXPECT_ERRNO(install_kick_handler(SIGUSR2), EBUSY);
    mine.sa_handler = SIG_IGN;
    sigaction(SIGUSR2, &mine, nullptr);
    EXPECT_ERRNO(install_kick_handler(SIGUSR2), EBUSY);
    sigaction(SIGUSR2, &before, nullptr);
    EXPECT_ERRNO(install_kick_handler(SIGKILL), EINVAL);
    EXPECT_ERRNO(install_kick_handler(0), EINVAL);
}

#if KVMXX_CHECKED && !defined(__SANITIZE_THREAD__)
TEST_F(KickTest, CheckedBuildsNoticeAVcpuThatRunsOnAnotherThread) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    Guest guest(kvm());
    guest.load(guests::stop());
    const Kick kick = must(guest.vcpu().create_kick());
    EXPECT_DEATH(std::thread([&] { (void)guest.vcpu().run(); }).join(), "create_kick");
}
#endif

}  // namespace
}  // namespace kvm::test
