// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <support/guest.hpp>

namespace kvm::test {
namespace {

class ExitArm : public WithKvm {};

TEST_F(ExitArm, PsciPowersOffAndResets) {
    Guest guest(kvm());
    guest.load(guests::firmware());
    guest.set(x(0), 0x84000008);
    EXPECT_EQ(guest.run_to<exit::SystemEvent>().type, exit::SystemEventType::shutdown);
    ASSERT_OK(guest.vcpu().init(vcpu_init(guest.vm())));
    guest.load(guests::firmware());
    guest.set(x(0), 0x84000009);
    const auto reset = guest.run_to<exit::SystemEvent>();
    EXPECT_EQ(reset.type, exit::SystemEventType::reset);
    EXPECT_EQ(reset.data.empty() ? 0 : reset.data[0], 0u) << "not a SYSTEM_RESET2";
}

TEST_F(ExitArm, PsciTellsItsVersionWithoutAnExit) {
    Guest guest(kvm());
    guest.load(guests::firmware());
    guest.set(x(9), layout::mmio);
    guest.set(x(0), 0x84000000);
    EXPECT_EQ(guest.run_to_write(layout::mmio), guest.get(psci_version));
    EXPECT_EQ(guest.run_to_write(layout::mmio), u64(-1)) << "no such call";
}

TEST_F(ExitArm, ASuspensionOfTheSystemIsAnExitWhereThatIsEnabled) {
    REQUIRE_CAP(kvm(), cap::arm_system_suspend);
    Guest guest(kvm());
    must(guest.vm().enable(cap::arm_system_suspend));
    guest.load(guests::firmware());
    guest.set(x(0), 0xc400000e);
    guest.set(x(1), layout::code);
    EXPECT_EQ(guest.run_to<exit::SystemEvent>().type, exit::SystemEventType::suspend);
}

TEST_F(ExitArm, AnAccessWithoutSyndromeIsEnosysOrAnExit) {
    REQUIRE_CAP(kvm(), cap::arm_nisv_to_user);
    for (const bool enabled : {false, true}) {
        Guest guest(kvm());
        if (enabled) {
            must(guest.vm().enable(cap::arm_nisv_to_user));
        }
        guest.load(guests::nisv());
        guest.set(x(1), layout::mmio + 0x40);
        if (!enabled) {
            EXPECT_ERRNO(guest.vcpu().run(), ENOSYS);
            continue;
        }
        const auto nisv = guest.run_to<exit::ArmNisv>();
        EXPECT_EQ(nisv.fault_ipa, Gpa(layout::mmio + 0x40));
        EXPECT_EQ(nisv.esr_iss & 1u << 6, 1u << 6) << "a write";
        EXPECT_EQ(guest.get(pc), layout::code);
        guest.set(pc, layout::code + guests::nisv_after());
        guest.run_to<exit::SystemEvent>();
    }
}

TEST_F(ExitArm, AGuestWithoutMemoryUnderItsInstructionsIsEnosysOrHasAnAbort) {
    Guest guest(kvm());
    guest.set(pc, layout::mmio);
    const Watchdog watchdog(std::chrono::seconds(2));
    const auto exit = guest.vcpu().run();
    if (exit) {
        EXPECT_EQ(exit->reason(), ExitReason::intr) << "aborts for ever: " << describe(*exit);
    } else {
        EXPECT_EQ(exit.error().code, ENOEXEC);
    }
}

}  // namespace
}  // namespace kvm::test
