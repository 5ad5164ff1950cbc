// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// States that a vCPU is seldom in: without any memory, in system management mode, in x2APIC mode,
// with a TSC that the guest has set.

#include <algorithm>
#include <cstdlib>
#include <support/guest.hpp>

KVMXX_GUEST(smm)

namespace kvm::test {
namespace {

class States : public WithKvm {};

/// Has the guest write an MSR in 64-bit mode, and expects that it may.
void write_msr(Guest& guest, u32 msr, u64 value) {
    guest.load_long(guests::msr());
    guest.set_gate(13, guests::msr_fault());
    guest.change_regs([&](Regs& regs) {
        regs.rip += guests::msr_write();
        regs.rcx = msr;
        regs.rax = value & 0xffffffff;
        regs.rdx = value >> 32;
    });
    EXPECT_EQ(bytes_of(guest.run_to<exit::IoOut>().data), "o") << "no fault";
}

TEST_F(States, WithoutAnySlotAVcpuEndsWithAnExitAndNothingElse) {
    if (!std::getenv("KVMXX_LAB")) {
        GTEST_SKIP() << "needs the lab: kernels have fallen over a vCPU without memory";
    }
    const Vm vm = must(kvm().create_vm());
    ASSERT_OK(vm.set_identity_map_addr(0xfffbc000_gpa));
    ASSERT_OK(vm.set_tss_addr(0xfffbd000_gpa));
    ASSERT_OK(vm.set_nr_mmu_pages(64));  // without slots the kernel allows itself none
    Vcpu vcpu = must(vm.create_vcpu(VcpuId(0)));
    const Watchdog watchdog(std::chrono::seconds(10));
    const Exit exit = must(vcpu.run());
    EXPECT_TRUE(exit.reason() == ExitReason::internal_error ||
                exit.reason() == ExitReason::shutdown)
        << describe(exit);
}

TEST_F(States, TheGuestsWriteOfTheAdjustmentMovesTheTscAndTheOtherWayRound) {
    constexpr u32 tsc = 0x10, tsc_adjust = 0x3b;
    constexpr u64 far = u64(1) << 50;
    Guest guest(kvm());
    if (!guest.vcpu().msr(tsc_adjust)) {
        GTEST_SKIP() << "needs the MSR TSC_ADJUST, which this KVM lacks";
    }
    const u64 before = must(guest.vcpu().msr(tsc));
    write_msr(guest, tsc_adjust, far);
    EXPECT_EQ(must(guest.vcpu().msr(tsc_adjust)), far);
    if (must(guest.vcpu().msr(tsc)) - before < far) {
        GTEST_SKIP() << "needs a TSC that the guest may set, which this KVM keeps as it is";
    }
    write_msr(guest, tsc, 3 * far);
    EXPECT_GE(must(guest.vcpu().msr(tsc)), 3 * far);
    EXPECT_LT(must(guest.vcpu().msr(tsc)), 4 * far);
    EXPECT_GT(must(guest.vcpu().msr(tsc_adjust)), far) << "by as much";
    EXPECT_LT(must(guest.vcpu().msr(tsc_adjust)), 4 * far);
}

TEST_F(States, TheCommandRegisterOfAnX2apicIsOneOf64Bits) {
    REQUIRE_CAP(kvm(), cap::irqchip);
    constexpr u32 apic_base = 0x1b, icr = 0x830;
    constexpr u64 x2apic = 1u << 10, command = u64(0x12345678) << 32 | 0x4022;
    Guest guest(kvm(), [](Vm& vm) { must(vm.create_irqchip()); });
    CpuidList leaves = must(guest.vcpu().cpuid2());
    for (CpuidEntry2& leaf : leaves) {
        if (leaf.function == 1) {
            leaf.ecx |= 1u << 21;
        }
    }
    must(guest.vcpu().set_cpuid2(leaves));
    ASSERT_OK(guest.vcpu().set_msr(apic_base, must(guest.vcpu().msr(apic_base)) | x2apic));
    write_msr(guest, icr, command);
    EXPECT_EQ(must(guest.vcpu().msr(icr)), command);
    const LapicState saved = must(guest.vcpu().lapic());
    u32 halves[2] = {};
    std::memcpy(&halves[0], saved.regs + 0x300, 4);
    std::memcpy(&halves[1], saved.regs + 0x310, 4);
    EXPECT_EQ(halves[0], static_cast<u32>(command));
    EXPECT_EQ(halves[1], command >> 32);
    ASSERT_OK(guest.vcpu().set_lapic(saved));
    EXPECT_EQ(must(guest.vcpu().msr(icr)), command) << "restored";
}

TEST_F(States, AGuestInSystemManagementModeGoesOnInAnotherVm) {
    REQUIRE_CAP(kvm(), cap::x86_smm);
    REQUIRE_CAP(kvm(), cap::vcpu_events);
    Guest from(kvm()), to(kvm());
    const auto smram = [](Guest& guest) {
        return must(guest.vm().add_memory(Slot(1 << 16), 0_gpa, guest.memory()));
    };
    const auto one [[maybe_unused]] = smram(from);
    const auto two [[maybe_unused]] = smram(to);
    from.load_long(guests::handlers());
    from.write(0x38000, guests::smm());
    from.run_to<exit::Hlt>();
    const u64 resumes_at = from.regs().rip;
    ASSERT_OK(from.vcpu().smi());
    EXPECT_EQ(bytes_of(from.run_to<exit::IoOut>().data), "s");
    EXPECT_EQ(must(from.vcpu().complete_pending_io()).reason(), ExitReason::intr);

    std::ranges::copy(from.memory(), to.memory().begin());
    const VcpuEvents events = must(from.vcpu().vcpu_events());
    EXPECT_EQ(events.smi.smm, 1) << "it is saved inside";
    ASSERT_OK(to.vcpu().set_vcpu_events(events));
    ASSERT_OK(to.vcpu().set_sregs(must(from.vcpu().sregs())));
    ASSERT_OK(to.vcpu().set_regs(must(from.vcpu().regs())));
    EXPECT_EQ(must(to.vcpu().vcpu_events()).smi.smm, 1);
    to.run_to<exit::Hlt>();
    EXPECT_FALSE(Flags<RunFlag>(to.vcpu().raw().flags).has(RunFlag::smm));
    EXPECT_EQ(must(to.vcpu().vcpu_events()).smi.smm, 0);
    EXPECT_GE(to.regs().rip, resumes_at) << "back in what was interrupted";
}

}  // namespace
}  // namespace kvm::test
