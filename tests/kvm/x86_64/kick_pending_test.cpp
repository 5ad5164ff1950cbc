// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "kick_thread.hpp"
#include "script.hpp"

namespace kvm::test {
namespace {

/// complete_pending_io(), alone and with Kicks.
class PendingIo : public WithKick {};

TEST_F(PendingIo, TheReplyIsTakenAndTheGuestDoesNotGoOn) {
    Guest guest(kvm());
    load_script(guest, {{load1, layout::mmio, 0}, {out1, 0xe0, 1}});
    const auto read = guest.run_to<exit::MmioRead>();
    read.data[0] = std::byte(0x5a);
    const u64 rip = guest.regs().rip;
    EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    EXPECT_EQ(guest.regs().rax, 0x5au);
    EXPECT_EQ(guest.regs().rip, rip + 3) << "one instruction, not more";
    EXPECT_EQ(guest.run_to<exit::IoOut>().port, Port(0xe0));
}

TEST_F(PendingIo, WithNothingPendingNothingHappens) {
    Guest guest(kvm());
    load_script(guest, {{out1, 0xe0, 1}});
    const Regs before = guest.regs();
    EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    const Regs after = guest.regs();
    EXPECT_EQ(std::memcmp(&before, &after, sizeof before), 0);
    guest.run_to<exit::IoOut>();
}

TEST_F(PendingIo, TheSecondHalfOfAnAccessIsAnExitToAnswer) {
    Guest guest(kvm());
    load_script(guest, {{store8, layout::mmio + 0xffc, 0x1122334455667788}, {out1, 0xe0, 1}});
    const auto first = guest.run_to<exit::MmioWrite>();
    EXPECT_EQ(first.address, Gpa(layout::mmio + 0xffc));
    ASSERT_EQ(number_of(first.data), 0x55667788u);
    const Exit exit = must(guest.vcpu().complete_pending_io());
    const auto second = guest.payload<exit::MmioWrite>(exit);
    EXPECT_EQ(second.address, Gpa(layout::mmio + 0x1000));
    EXPECT_EQ(number_of(second.data), 0x11223344u);
    EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    guest.run_to<exit::IoOut>();
}

TEST_F(PendingIo, DoesNotInterruptTheNextRunWhereNobodyKicked) {
    Guest guest(kvm());
    guest.load_real(guests::halt());
    const Kick kick = must(guest.vcpu().create_kick());
    EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    EXPECT_EQ(must(guest.vcpu().run()).reason(), ExitReason::hlt);
}

TEST_F(PendingIo, AKickThatCameBeforeWaitsForTheNextRun) {
    Guest guest(kvm());
    guest.load_real(guests::halt());
    const Kick kick = must(guest.vcpu().create_kick());
    kick();
    EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    EXPECT_EQ(must(guest.vcpu().run()).reason(), ExitReason::intr);
    EXPECT_EQ(must(guest.vcpu().run()).reason(), ExitReason::hlt);
}

TEST_F(PendingIo, LosesNoKickThatComesMeanwhile) {
    Guest guest(kvm());
    guest.load_real(guests::halt());
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
