// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <csignal>
#include <pthread.h>
#include <support/guest.hpp>
#include <sys/resource.h>
#include <thread>

namespace kvm::test {
namespace {

class VcpuRun : public WithKvm {};

volatile std::sig_atomic_t handled;

/// Blocks SIGUSR1 in this thread, with a handler that must not run, and makes it pending.
class BlockedSignal {
public:
    BlockedSignal() {
        handled = 0;
        struct sigaction action = {};
        action.sa_handler = [](int) { handled = 1; };
        sigaction(SIGUSR1, &action, &old_action_);
        sigemptyset(&set_);
        sigaddset(&set_, SIGUSR1);
        pthread_sigmask(SIG_BLOCK, &set_, &old_mask_);
        pthread_kill(pthread_self(), SIGUSR1);
    }
    ~BlockedSignal() {
        take();
        pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
        sigaction(SIGUSR1, &old_action_, nullptr);
    }
    /// Takes the signal away; false if it was not pending any more.
    bool take() {
        const timespec now = {};
        return sigtimedwait(&set_, nullptr, &now) == SIGUSR1;
    }

private:
    sigset_t set_, old_mask_;
    struct sigaction old_action_;
};

void ask_for_immediate_exit(Vcpu& vcpu) {
    __atomic_store_n(&vcpu.raw().immediate_exit, u8(1), __ATOMIC_RELEASE);
}

TEST_F(VcpuRun, AnImmediateExitIsAnInterruptionOnce) {
    REQUIRE_CAP(kvm(), cap::immediate_exit);
    Guest guest(kvm());
    guest.load(guests::stop());
    ask_for_immediate_exit(guest.vcpu());
    guest.run_to<exit::Interrupted>();
    EXPECT_EQ(guest.program_counter(), layout::code) << "the guest has not run";
    guest.run_to_stop();
}

TEST_F(VcpuRun, APendingSignalThatOnlyTheThreadBlocksEndsRunWithoutItsHandler) {
    Guest guest(kvm());
    guest.load(guests::spin());
    BlockedSignal signal;
    ASSERT_OK(guest.vcpu().set_signal_mask(0));
    guest.run_to<exit::Interrupted>(std::chrono::seconds(5));
    EXPECT_EQ(handled, 0);
    EXPECT_TRUE(signal.take()) << "it stays pending for its owner";
}

TEST_F(VcpuRun, APendingSignalThatTheMaskBlocksDoesNotEndRun) {
    Guest guest(kvm());
    guest.load(guests::stop());
    const BlockedSignal signal;
    ASSERT_OK(guest.vcpu().set_signal_mask(u64(1) << (SIGUSR1 - 1)));
    guest.run_to_stop();
    EXPECT_EQ(handled, 0);
}

TEST_F(VcpuRun, WithoutAMaskTheThreadsOwnCounts) {
    Guest guest(kvm());
    guest.load(guests::stop());
    const BlockedSignal signal;
    ASSERT_OK(guest.vcpu().set_signal_mask(0));
    ASSERT_OK(guest.vcpu().clear_signal_mask());
    guest.run_to_stop();
}

/// Lets nothing of this user queue signals, as long as it lives.
class NoSignalQueue {
public:
    NoSignalQueue() {
        getrlimit(RLIMIT_SIGPENDING, &old_);
        const rlimit none = {.rlim_cur = 0, .rlim_max = old_.rlim_max};
        setrlimit(RLIMIT_SIGPENDING, &none);
    }
    ~NoSignalQueue() { setrlimit(RLIMIT_SIGPENDING, &old_); }

private:
    rlimit old_;
};

TEST_F(VcpuRun, AKickArrivesEvenWhereNoSignalCanBeQueued) {
    REQUIRE_CAP(kvm(), cap::immediate_exit);
    Guest guest(kvm());
    guest.load(guests::spin());
    ASSERT_OK(install_kick_handler());
    const Kick kick = must(guest.vcpu().create_kick());
    const NoSignalQueue full;
    const std::jthread kicker([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        kick();
    });
    guest.run_to<exit::Interrupted>(std::chrono::seconds(5));
}

TEST_F(VcpuRun, RefusesToEnableWhatDoesNotExist) {
    REQUIRE_CAP(kvm(), cap::enable_cap);
    Guest guest(kvm());
    EXPECT_ERRNO(guest.vcpu().enable_cap(696969), EINVAL);
}

}  // namespace
}  // namespace kvm::test
