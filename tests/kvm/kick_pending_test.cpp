// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "kick_thread.hpp"
#include "script.hpp"

namespace kvm::test {
namespace {

/// complete_pending_io(), alone and with Kicks.
class PendingIo : public WithKick {};

TEST_F(PendingIo, TheReplyIsTakenAndTheGuestDoesNotGoOn) {
    Guest guest(kvm());
    load_script(guest, {{load1, layout::mmio}});
    const auto read = guest.run_to<exit::MmioRead>();
    read.data[0] = std::byte(0x5a);
    EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    EXPECT_EQ(guest.program_counter(), layout::code + guests::script_loaded())
        << "one instruction, not more";
    EXPECT_EQ(loaded(guest, 0), 0u);
    read.data[0] = std::byte(0xff);  // nobody looks at that any more
    guest.run_to_stop();
    EXPECT_EQ(loaded(guest, 0), 0x5au);
}

TEST_F(PendingIo, WithNothingPendingNothingHappens) {
    Guest guest(kvm());
    load_script(guest, {});
    const std::string before = describe_registers(guest.vcpu());
    EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    EXPECT_EQ(describe_registers(guest.vcpu()), before);
    guest.run_to_stop();
}

TEST_F(PendingIo, DoesNotInterruptTheNextRunWhereNobodyKicked) {
    Guest guest(kvm());
    guest.load(guests::stop());
    const Kick kick = must(guest.vcpu().create_kick());
    EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    EXPECT_EQ(outcome(guest.vcpu()), stopped);
}

TEST_F(PendingIo, AKickThatCameBeforeWaitsForTheNextRun) {
    Guest guest(kvm());
    guest.load(guests::stop());
    const Kick kick = must(guest.vcpu().create_kick());
    kick();
    EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    EXPECT_EQ(outcome(guest.vcpu()), interrupted);
    EXPECT_EQ(outcome(guest.vcpu()), stopped);
}

TEST_F(PendingIo, LosesNoKickThatComesMeanwhile) {
    Guest guest(kvm());
    guest.load(guests::stop());
    Doorbell bell;
    VcpuThread thread(guest.vcpu(), [&](Vcpu& vcpu) {
        while (!bell.closed()) {
            EXPECT_EQ(must(vcpu.complete_pending_io()).reason(), ExitReason::intr);
            if (must(vcpu.run()).reason() == ExitReason::intr) {
                bell.answer();
            }
        }
    });
    const u64 kicks = ring_often(bell, thread.kick(), Stress(5000));
    bell.close();
    thread.kick()();
    thread.join();
    EXPECT_LE(bell.interruptions(), 2 * (kicks + 1));
}

}  // namespace
}  // namespace kvm::test
