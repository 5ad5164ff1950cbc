// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <support/guest.hpp>

#include <cerrno>
#include <thread>

namespace kvm::test {
namespace {

class ExitArm : public WithKvm {};

TEST_F(ExitArm, AWriteOfEachSizeHasItsBytes) {
    Guest guest(kvm());
    guest.load(guests::mmio());
    guest.set(x(0), 0x1122334455667788);
    guest.set(x(1), layout::mmio + 0x10);
    guest.set(x(2), layout::mmio + 0x20);
    const u64 values[] = {0x88, 0x7788, 0x55667788, 0x1122334455667788};
    for (unsigned i = 0; i < 4; ++i) {
        const auto write = guest.run_to<exit::MmioWrite>();
        EXPECT_EQ(write.address, Gpa(layout::mmio + 0x10));
        EXPECT_EQ(write.data.size(), 1u << i);
        EXPECT_EQ(number_of(write.data), values[i]);
    }
}

TEST_F(ExitArm, AReadOfEachSizeTakesItsReply) {
    Guest guest(kvm());
    guest.load(guests::mmio());
    guest.set(x(1), layout::mmio);
    guest.set(x(2), layout::mmio + 0x20);
    for (int i = 0; i < 4; ++i) {
        guest.run_to<exit::MmioWrite>();
    }
    for (const unsigned size : {1u, 2u, 4u, 8u}) {
        const auto read = guest.run_to<exit::MmioRead>();
        EXPECT_EQ(read.address, Gpa(layout::mmio + 0x20));
        ASSERT_EQ(read.data.size(), size);
        const u64 reply = 0xf7e6d5c4b3a29180;
        std::memcpy(read.data.data(), &reply, size);
    }
    guest.run_to<exit::SystemEvent>();
    EXPECT_EQ(guest.get(x(8)), 0x80u);
    EXPECT_EQ(guest.get(x(9)), 0x9180u);
    EXPECT_EQ(guest.get(x(10)), 0xb3a29180u);
    EXPECT_EQ(guest.get(x(11)), 0xf7e6d5c4b3a29180u);
}

TEST_F(ExitArm, ReadOnlyMemoryIsReadAndItsWritesAreExits) {
    REQUIRE_CAP(kvm(), cap::readonly_mem);
    Guest guest(kvm());
    alignas(4096) static std::byte page[4096];
    page[0] = std::byte(0x5a);
    must(guest.vm().add_memory(Slot(1), Gpa(layout::mmio), page, MemFlag::readonly));
    guest.load(guests::mmio());
    guest.set(x(1), layout::mmio);
    guest.set(x(2), layout::mmio);
    for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(guest.run_to<exit::MmioWrite>().address, Gpa(layout::mmio));
    }
    guest.run_to<exit::SystemEvent>();
    EXPECT_EQ(guest.get(x(8)), 0x5au);
}

TEST_F(ExitArm, TheReplyIsTakenAndTheGuestDoesNotGoOn) {
    Guest guest(kvm());
    guest.load(guests::mmio());
    guest.set(x(1), layout::mmio);
    guest.set(x(2), layout::mmio);
    for (int i = 0; i < 4; ++i) {
        guest.run_to<exit::MmioWrite>();
    }
    const auto read = guest.run_to<exit::MmioRead>();
    read.data[0] = std::byte(0x5a);
    EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    EXPECT_EQ(guest.get(x(8)), 0x5au);
    EXPECT_EQ(guest.get(pc), layout::code + 5 * 4) << "one instruction, not more";
}

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

class KickArm : public WithKvm {
protected:
    void SetUp() override {
        WithKvm::SetUp();
        if (!IsSkipped()) {
            must(install_kick_handler());
        }
    }
};

TEST_F(KickArm, BeforeRunMakesItReturnOnce) {
    Guest guest(kvm());
    guest.load(guests::halt());
    const Kick kick = must(guest.vcpu().create_kick());
    kick();
    EXPECT_EQ(must(guest.vcpu().run()).reason(), ExitReason::intr);
    guest.run_to<exit::SystemEvent>();
}

TEST_F(KickArm, DuringRunEndsIt) {
    Guest guest(kvm());
    guest.load(guests::spin());
    const Kick kick = must(guest.vcpu().create_kick());
    for (int i = 0; i < 10; ++i) {
        std::jthread other([&kick] {
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
            kick();
        });
        EXPECT_EQ(must(guest.vcpu().run()).reason(), ExitReason::intr);
    }
    EXPECT_EQ(guest.get(pc), layout::code);
}

TEST_F(KickArm, AnImmediateExitRunsNothing) {
    REQUIRE_CAP(kvm(), cap::immediate_exit);
    Guest guest(kvm());
    guest.load(guests::halt());
    guest.vcpu().raw().immediate_exit = 1;
    EXPECT_EQ(must(guest.vcpu().run()).reason(), ExitReason::intr);
    EXPECT_EQ(guest.get(pc), layout::code);
    guest.run_to<exit::SystemEvent>();
}

}  // namespace
}  // namespace kvm::test
