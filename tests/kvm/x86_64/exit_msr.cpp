// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <support/guest.hpp>

namespace kvm::test {
namespace {

class ExitMsr : public WithKvm {};

constexpr u32 unknown_msr = 0x4b56'4d99, efer = 0xc0000080;
constexpr u8 general_protection = 13;

void prepare(Guest& guest, std::size_t entry, u32 msr) {
    guest.load_long(guests::msr());
    guest.set_gate(general_protection, guests::msr_fault());
    guest.change_regs([&](Regs& regs) {
        regs.rip += entry;
        regs.rcx = msr;
        regs.rax = 0x5566'7788;
        regs.rdx = 0x1122'3344;
    });
}

std::string outcome(Guest& guest) { return bytes_of(guest.run_to<exit::IoOut>().data); }

TEST_F(ExitMsr, AReadOfAnUnknownOneIsAnsweredByUs) {
    REQUIRE_CAP(kvm(), cap::x86_user_space_msr);
    Guest guest(kvm());
    ASSERT_OK(guest.vm().enable(cap::x86_user_space_msr, MsrExitReason::unknown));
    prepare(guest, guests::msr_read(), unknown_msr);
    const auto read = guest.run_to<exit::Rdmsr>();
    EXPECT_EQ(read.index, unknown_msr);
    EXPECT_EQ(read.reason, MsrExitReason::unknown);
    read.data = 0xabcd'ef01'2345'6789;
    EXPECT_EQ(outcome(guest), "o");
    EXPECT_EQ(guest.regs().rbx, 0x2345'6789u);
    EXPECT_EQ(guest.regs().rdx, 0xabcd'ef01u);
}

TEST_F(ExitMsr, AReadThatWeRefuseFaultsInTheGuest) {
    REQUIRE_CAP(kvm(), cap::x86_user_space_msr);
    Guest guest(kvm());
    ASSERT_OK(guest.vm().enable(cap::x86_user_space_msr, MsrExitReason::unknown));
    prepare(guest, guests::msr_read(), unknown_msr);
    guest.run_to<exit::Rdmsr>().error = 1;
    EXPECT_EQ(outcome(guest), "g");
}

TEST_F(ExitMsr, AWriteToAnUnknownOneReachesUs) {
    REQUIRE_CAP(kvm(), cap::x86_user_space_msr);
    Guest guest(kvm());
    ASSERT_OK(guest.vm().enable(cap::x86_user_space_msr, MsrExitReason::unknown));
    prepare(guest, guests::msr_write(), unknown_msr);
    const auto write = guest.run_to<exit::Wrmsr>();
    EXPECT_EQ(write.index, unknown_msr);
    EXPECT_EQ(write.reason, MsrExitReason::unknown);
    EXPECT_EQ(write.data, 0x1122'3344'5566'7788u);
    EXPECT_EQ(outcome(guest), "o");
}

TEST_F(ExitMsr, AWriteThatWeRefuseFaultsInTheGuest) {
    REQUIRE_CAP(kvm(), cap::x86_user_space_msr);
    Guest guest(kvm());
    ASSERT_OK(guest.vm().enable(cap::x86_user_space_msr, MsrExitReason::unknown));
    prepare(guest, guests::msr_write(), unknown_msr);
    guest.run_to<exit::Wrmsr>().error = 1;
    EXPECT_EQ(outcome(guest), "g");
}

TEST_F(ExitMsr, AValueThatTheMsrRefusesIsOfAnotherReason) {
    REQUIRE_CAP(kvm(), cap::x86_user_space_msr);
    Guest guest(kvm());
    ASSERT_OK(guest.vm().enable(cap::x86_user_space_msr, MsrExitReason::inval));
    prepare(guest, guests::msr_write(), efer);
    const auto write = guest.run_to<exit::Wrmsr>();
    EXPECT_EQ(write.index, efer);
    EXPECT_EQ(write.reason, MsrExitReason::inval);
    EXPECT_EQ(outcome(guest), "o");
}

TEST_F(ExitMsr, WithoutTheCapabilityAnUnknownOneFaultsInTheGuest) {
    Guest guest(kvm());
    prepare(guest, guests::msr_read(), unknown_msr);
    const std::string what = outcome(guest);
    if (what == "o") {
        GTEST_SKIP() << "this KVM was told to ignore unknown MSRs";
    }
    EXPECT_EQ(what, "g");
}

}  // namespace
}  // namespace kvm::test
