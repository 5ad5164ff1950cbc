// SPDX-License-Identifier: Apache-2.0 OR MIT
// Many kicks, each of which must be acknowledged. KVMXX_STRESS=1000000 in the environment makes
// them a million.
#include "kick_thread.hpp"

#include <cstdio>
#include <mutex>

namespace kvm::test {
namespace {

class KickStress : public WithKick {
protected:
    /// Rings often, ends the thread, and expects every ring to have been answered, with at most one
    /// needless interruption each.
    void ring(Doorbell& bell, VcpuThread& thread) {
        const auto start = std::chrono::steady_clock::now();
        const u64 kicks = ring_often(bell, thread.kick(), Stress(20000));
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
        bell.close();
        thread.kick()();
        thread.join();
        EXPECT_LE(bell.interruptions(), 2 * (kicks + 1));
        std::printf("%llu kicks in %.2f s, %.1f us each, %llu interruptions\n",
                    static_cast<unsigned long long>(kicks), time.count(),
                    time.count() / static_cast<double>(kicks) * 1e6,
                    static_cast<unsigned long long>(bell.interruptions()));
    }
};

TEST_F(KickStress, EveryKickOfAGuestThatSpinsIsAnswered) {
    Guest guest(kvm());
    guest.load(guests::spin());
    Doorbell bell;
    VcpuThread thread(guest.vcpu(), [&](Vcpu& vcpu) {
        while (!bell.closed()) {
            EXPECT_EQ(outcome(vcpu), interrupted);
            bell.answer();
        }
    });
    ring(bell, thread);
}

TEST_F(KickStress, EveryKickOfAGuestThatExitsIsAnswered) {
    Guest guest(kvm());
    guest.load(guests::stop());
    Doorbell bell;
    VcpuThread thread(guest.vcpu(), [&](Vcpu& vcpu) {
        while (!bell.closed()) {
            if (must(vcpu.run()).reason() == ExitReason::intr) {
                bell.answer();
            }
        }
    });
    ring(bell, thread);
}

TEST_F(KickStress, KicksFromSeveralThreadsAtOnceAreAnswered) {
    Guest guest(kvm());
    guest.load(guests::spin());
    constexpr int threads = 3;
    Doorbell bells[threads];
    VcpuThread thread(guest.vcpu(), [&](Vcpu& vcpu) {
        while (!bells[0].closed()) {
            EXPECT_EQ(outcome(vcpu), interrupted);
            for (Doorbell& bell : bells) {
                bell.answer();
            }
        }
    });
    {
        std::vector<std::jthread> kickers;
        for (Doorbell& bell : bells) {
            kickers.emplace_back(
                [&bell, kick = thread.kick()] { ring_often(bell, kick, Stress(3000)); });
        }
    }
    bells[0].close();
    thread.kick()();
    thread.join();
}

TEST_F(KickStress, KicksAreAnsweredWhileTheVcpuChangesThreads) {
    Guest guest(kvm());
    guest.load(guests::spin());
    Doorbell bell;
    const Kick kick = must(guest.vcpu().create_kick());
    std::mutex turn;
    const auto work = [&] {
        while (!bell.closed()) {
            {
                const std::lock_guard lock(turn);
                const Kick mine = must(guest.vcpu().create_kick());
                const Watchdog watchdog(std::chrono::seconds(20));
                EXPECT_EQ(outcome(guest.vcpu()), interrupted);
                bell.answer();
            }
            std::this_thread::yield();
        }
    };
    std::thread first(work), second(work);
    ring_often(bell, kick, Stress(3000));
    bell.close();
    std::atomic<bool> joined{false};
    std::thread rescuer([&] {
        while (!joined) {
            kick();
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    });
    first.join();
    second.join();
    joined = true;
    rescuer.join();
}

TEST_F(KickStress, VcpusMayEndWhileTheyAreKicked) {
    Guest guest(kvm());
    std::mutex guard;
    std::optional<Kick> current;
    std::atomic<bool> stop{false};
    std::thread kicker([&] {
        while (!stop) {
            std::optional<Kick> kick;
            {
                const std::lock_guard lock(guard);
                kick = current;
            }
            for (int i = 0; kick && i < 20; ++i) {
                (*kick)();
            }
        }
    });
    for (u32 id = 1; id <= 12; ++id) {
        Vcpu vcpu = must(guest.vm().create_vcpu(VcpuId(id)));
        const Kick kick = must(vcpu.create_kick());
        {
            const std::lock_guard lock(guard);
            current = kick;
        }
        for (int i = 0; i < 20; ++i) {
            std::this_thread::yield();
        }
    }
    stop = true;
    kicker.join();
}

}  // namespace
}  // namespace kvm::test
