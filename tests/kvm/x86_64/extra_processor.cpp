// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What a guest's processor does, as far as other projects' tests ask for it (docs/peer-tests.md).
// Where a KVM interprets the guest and cannot do an instruction, the test is skipped and says so.
#include <algorithm>
#include <cerrno>
#include <support/guest.hpp>

KVMXX_GUEST(cpu)
KVMXX_GUEST_LABEL(cpu, count_up)
KVMXX_GUEST_LABEL(cpu, flags)
KVMXX_GUEST_LABEL(cpu, controls)
KVMXX_GUEST_LABEL(cpu, bad_cr0)
KVMXX_GUEST_LABEL(cpu, debug_registers)
KVMXX_GUEST_LABEL(cpu, break_here)
KVMXX_GUEST_LABEL(cpu, broken)
KVMXX_GUEST_LABEL(cpu, segment)
KVMXX_GUEST_LABEL(cpu, segment_bases)
KVMXX_GUEST_LABEL(cpu, time)
KVMXX_GUEST_LABEL(cpu, divide)
KVMXX_GUEST_LABEL(cpu, caches)
KVMXX_GUEST_LABEL(cpu, vmread)
KVMXX_GUEST_LABEL(cpu, invept)
KVMXX_GUEST_LABEL(cpu, interrupt)
KVMXX_GUEST_LABEL(cpu, mmx)
KVMXX_GUEST_LABEL(cpu, avx)
KVMXX_GUEST_LABEL(cpu, xsetbv)
KVMXX_GUEST_LABEL(cpu, xsave)
KVMXX_GUEST_LABEL(cpu, fault)
KVMXX_GUEST(cpuid)

namespace kvm::test {
namespace {

constexpr u64 am = 1 << 18, cr4_fsgsbase = 1 << 16, cr4_osxsave = 1 << 18;
constexpr u32 osxsave_leaf1_ecx = 1u << 27, xsave_leaf1_ecx = 1u << 26, avx_leaf1_ecx = 1u << 28;
constexpr u32 fsgsbase_leaf7_ebx = 1;

class Processor : public WithGuest {
protected:
    Vcpu& vcpu() { return guest().vcpu(); }

    /// Puts the guest before an entry; the exception `vector` goes to the handler.
    void prepare(std::size_t entry, int vector = -1) {
        guest().load_long(guests::cpu());
        if (vector >= 0) {
            guest().set_gate(static_cast<u8>(vector), guests::cpu_fault());
        }
        guest().change_regs([&](Regs& regs) { regs.rip += entry; });
    }
    void change_sregs(const std::function<void(Sregs&)>& change) {
        Sregs sregs = must(vcpu().sregs());
        change(sregs);
        must(vcpu().set_sregs(sregs));
    }
    /// Whether the guest's CPUID has this bit.
    bool has(u32 leaf, u32 CpuidEntry2::* reg, u32 bit) {
        return std::ranges::any_of(must(vcpu().cpuid2()), [&](const CpuidEntry2& e) {
            return e.function == leaf && e.index == 0 && (e.*reg & bit);
        });
    }
};

/// Skips the test if the KVM gave up at the instruction.
#define REQUIRE_INTERPRETED(exit, what)                                                            \
    do {                                                                                           \
        if ((exit).reason() == ExitReason::internal_error) {                                       \
            GTEST_SKIP() << "needs " what ", which this KVM cannot interpret";                     \
        }                                                                                          \
    } while (false)

/// Expects the exception's handler to run.
#define EXPECT_FAULT(what)                                                                         \
    do {                                                                                           \
        const Exit fault = guest().run();                                                          \
        REQUIRE_INTERPRETED(fault, what);                                                          \
        EXPECT_EQ(bytes_of(guest().payload<exit::IoOut>(fault).data), "f");                        \
    } while (false)

TEST_F(Processor, ComputesWithEveryRegister) {
    prepare(guests::cpu_count_up());
    constexpr u64 Regs::* all[] = {&Regs::rax, &Regs::rbx, &Regs::rcx, &Regs::rdx, &Regs::rsi,
                                   &Regs::rdi, &Regs::rbp, &Regs::r8,  &Regs::r9,  &Regs::r10,
                                   &Regs::r11, &Regs::r12, &Regs::r13, &Regs::r14, &Regs::r15};
    u64 next = 0xffff'ffff;
    guest().change_regs([&](Regs& regs) {
        for (const auto reg : all) {
            regs.*reg = next += 0x1'0000'0000;
        }
    });
    guest().run_to<exit::Hlt>();
    const Regs regs = guest().regs();
    next = 0x1'0000'0000;
    for (const auto reg : all) {
        EXPECT_EQ(regs.*reg, next += 0x1'0000'0000);
    }
}

TEST_F(Processor, FlagsAreTheVmmsAndTheGuests) {
    prepare(guests::cpu_flags());
    constexpr u64 arithmetic = 0x8d7, direction = 0x402;
    guest().change_regs([](Regs& regs) {
        regs.rflags = arithmetic;
        regs.rbx = direction;
    });
    guest().run_to<exit::Hlt>();
    EXPECT_EQ(guest().regs().rax, arithmetic);
    EXPECT_EQ(guest().regs().rflags & 0xfff, direction);
}

TEST_F(Processor, ControlRegistersThatTheVmmSetAreTheGuests) {
    prepare(guests::cpu_controls());
    const Sregs sregs = must(vcpu().sregs());
    guest().run_to<exit::Hlt>();
    EXPECT_EQ(guest().regs().rax, sregs.cr0);
    EXPECT_EQ(guest().regs().rbx, sregs.cr3);
    EXPECT_EQ(guest().regs().rcx, sregs.cr4);
}

TEST_F(Processor, ControlRegistersThatTheGuestSetAreTheVmms) {
    prepare(guests::cpu_controls());
    guest().change_regs([](Regs& regs) { regs.rdx = 0x1234'5000; });
    EXPECT_EQ(must(vcpu().sregs()).cr0 & am, 0u);
    guest().run_to<exit::Hlt>();
    EXPECT_EQ(must(vcpu().sregs()).cr2, 0x1234'5000u);
    EXPECT_EQ(must(vcpu().sregs()).cr0 & am, am);
}

TEST_F(Processor, PagingWithoutProtectionIsAFault) {
    prepare(guests::cpu_bad_cr0(), 13);
    EXPECT_FAULT("a write to CR0");
}

TEST_F(Processor, DebugRegistersThatTheGuestSetAreTheVmmsAndStay) {
    REQUIRE_CAP(kvm(), cap::debugregs);
    prepare(guests::cpu_debug_registers());
    constexpr u64 dr7 = 0x401;
    guest().change_regs([](Regs& regs) {
        regs.rbx = layout::data;
        regs.rcx = dr7;
    });
    guest().run_to<exit::IoOut>();
    EXPECT_EQ(must(vcpu().debugregs()).db[0], layout::data);
    EXPECT_EQ(must(vcpu().debugregs()).dr7, dr7);
    guest().run_to<exit::Hlt>();
    EXPECT_EQ(guest().regs().rsi, layout::data);
    EXPECT_EQ(guest().regs().rdi, dr7);
}

TEST_F(Processor, ABreakpointOfTheGuestsRunsItsHandler) {
    prepare(guests::cpu_break_here(), 1);
    guest().change_regs([](Regs& regs) { regs.rbx = layout::long_code + guests::cpu_broken(); });
    const Exit exit = guest().run();
    if (exit.reason() == ExitReason::hlt) {
        GTEST_SKIP() << "needs hardware breakpoints, which this KVM's guests can set to no effect";
    }
    EXPECT_EQ(bytes_of(guest().payload<exit::IoOut>(exit).data), "f");
}

TEST_F(Processor, SegmentBasesThatTheVmmSetAreUsed) {
    prepare(guests::cpu_segment());
    change_sregs([](Sregs& sregs) {
        sregs.fs.base = layout::data;
        sregs.gs.base = layout::data + 1;
    });
    guest().write<u16>(layout::data, 0x2211);
    guest().run_to<exit::Hlt>();
    EXPECT_EQ(guest().regs().rax, 0x11u);
    EXPECT_EQ(guest().regs().rbx, 0x22u);
}

TEST_F(Processor, SegmentBasesAreReadAndWrittenByTheGuest) {
    if (!has(7, &CpuidEntry2::ebx, fsgsbase_leaf7_ebx)) {
        GTEST_SKIP() << "needs FSGSBASE in the guest's CPUID, which this KVM does not support";
    }
    prepare(guests::cpu_segment_bases());
    change_sregs([](Sregs& sregs) { sregs.cr4 |= cr4_fsgsbase; });
    guest().change_regs([](Regs& regs) { regs.rbx = 0x7fff'1234'5678; });
    const Exit exit = guest().run();
    REQUIRE_INTERPRETED(exit, "wrfsbase");
    guest().payload<exit::Hlt>(exit);
    EXPECT_EQ(guest().regs().rax, 0x7fff'1234'5678u);
    EXPECT_EQ(must(vcpu().sregs()).fs.base, 0x7fff'1234'5678u);
}

TEST_F(Processor, TimeGoesOn) {
    prepare(guests::cpu_time());
    guest().run_to<exit::Hlt>();
    EXPECT_GE(guest().regs().rax, guest().regs().rbx);
    EXPECT_GT(guest().regs().rax, 0u);
}

TEST_F(Processor, TimeIsWhatTheVmmSetAndWrapsAround) {
    constexpr u32 tsc = 0x10;
    const u64 ten_seconds = must(vcpu().tsc_khz()) * u64(10'000);
    for (const u64 start : {u64(0), u64(1) << 50, u64(0) - 1000}) {
        prepare(guests::cpu_time());
        ASSERT_OK(vcpu().set_msr(tsc, start));
        if (must(vcpu().msr(tsc)) - start > ten_seconds) {
            GTEST_SKIP() << "needs a TSC with an offset: this KVM takes the MSR and ignores it";
        }
        guest().run_to<exit::Hlt>();
        EXPECT_LT(guest().regs().rbx - start, ten_seconds);
    }
}

TEST_F(Processor, ADivisionByNothingRunsTheGuestsHandler) {
    prepare(guests::cpu_divide(), 0);
    EXPECT_FAULT("a division");
}

TEST_F(Processor, DroppingTheCachesDoesNoHarm) {
    prepare(guests::cpu_caches());
    const Exit exit = guest().run();
    REQUIRE_INTERPRETED(exit, "invd");
    guest().payload<exit::Hlt>(exit);
}

TEST_F(Processor, VmreadIsUndefinedWithoutNestedGuests) {
    prepare(guests::cpu_vmread(), 6);
    EXPECT_FAULT("vmread");
}

TEST_F(Processor, InveptIsUndefinedWithoutNestedGuests) {
    prepare(guests::cpu_invept(), 6);
    guest().change_regs([](Regs& regs) { regs.rdi = layout::data; });
    EXPECT_FAULT("invept");
}

TEST_F(Processor, ASoftwareInterruptRunsItsHandler) {
    prepare(guests::cpu_interrupt(), 0x40);
    EXPECT_FAULT("int");
}

TEST_F(Processor, MmxRegistersSurviveAnExit) {
    prepare(guests::cpu_mmx());
    guest().change_regs([](Regs& regs) { regs.rbx = 0x1122'3344'5566'7788; });
    const Exit exit = guest().run();
    REQUIRE_INTERPRETED(exit, "movq to an MMX register");
    guest().payload<exit::IoOut>(exit);
    const Exit end = guest().run();
    REQUIRE_INTERPRETED(end, "movq from an MMX register");
    guest().payload<exit::Hlt>(end);
    EXPECT_EQ(guest().regs().rax, 0x1122'3344'5566'7788u);
}

TEST_F(Processor, AvxRegistersSurviveAnExit) {
    REQUIRE_CAP(kvm(), cap::xcrs);
    if (!has(1, &CpuidEntry2::ecx, avx_leaf1_ecx)) {
        GTEST_SKIP() << "needs AVX in the guest's CPUID, which this KVM does not support";
    }
    prepare(guests::cpu_avx());
    change_sregs([](Sregs& sregs) { sregs.cr4 |= cr4_osxsave; });
    Xcrs xcrs = must(vcpu().xcrs());
    xcrs.xcrs[0].value = 7;
    ASSERT_OK(vcpu().set_xcrs(xcrs));
    for (u64 i = 0; i < 4; ++i) {
        guest().write<u64>(layout::data + i * 8, 0x1111'1111'1111'1111 * (i + 1));
    }
    guest().change_regs([](Regs& regs) {
        regs.rsi = layout::data;
        regs.rdi = layout::data + 64;
    });
    const Exit exit = guest().run();
    REQUIRE_INTERPRETED(exit, "vmovups");
    guest().payload<exit::IoOut>(exit);
    guest().run_to<exit::Hlt>();
    for (u64 i = 0; i < 4; ++i) {
        EXPECT_EQ(guest().read<u64>(layout::data + 64 + i * 8), 0x1111'1111'1111'1111 * (i + 1));
    }
}

TEST_F(Processor, TheExtendedControlRegisterThatTheGuestSetIsTheVmms) {
    REQUIRE_CAP(kvm(), cap::xcrs);
    if (!has(1, &CpuidEntry2::ecx, xsave_leaf1_ecx)) {
        GTEST_SKIP() << "needs XSAVE in the guest's CPUID, which this KVM does not support";
    }
    prepare(guests::cpu_xsetbv());
    change_sregs([](Sregs& sregs) { sregs.cr4 |= cr4_osxsave; });
    guest().change_regs([](Regs& regs) { regs.rax = 3; });
    const Exit exit = guest().run();
    REQUIRE_INTERPRETED(exit, "xsetbv");
    guest().payload<exit::Hlt>(exit);
    EXPECT_EQ(guest().regs().rax, 3u);
    const u64 seen = must(vcpu().xcrs()).xcrs[0].value;
    if (seen == 1) {
        GTEST_SKIP() << "needs a processor that tells KVM of xsetbv: this one lets the guest do it";
    }
    EXPECT_EQ(seen, 3u);
}

TEST_F(Processor, TheGuestSavesAndRestoresItsExtendedState) {
    if (!has(1, &CpuidEntry2::ecx, xsave_leaf1_ecx)) {
        GTEST_SKIP() << "needs XSAVE in the guest's CPUID, which this KVM does not support";
    }
    prepare(guests::cpu_xsave());
    change_sregs([](Sregs& sregs) { sregs.cr4 |= cr4_osxsave; });
    Xcrs xcrs = must(vcpu().xcrs());
    xcrs.xcrs[0].value = 3;
    ASSERT_OK(vcpu().set_xcrs(xcrs));
    guest().write<u64>(layout::data, 0xfeed'f00d);
    guest().change_regs([](Regs& regs) {
        regs.rsi = layout::data;
        regs.rdi = layout::data + 0x1000;
    });
    const Exit exit = guest().run();
    REQUIRE_INTERPRETED(exit, "xsave");
    guest().payload<exit::Hlt>(exit);
    EXPECT_EQ(guest().read<u64>(layout::data), 0xfeed'f00du);
    EXPECT_EQ(must(vcpu().fpu()).xmm[0][0], 0x0d);
}

TEST_F(Processor, CpuidFollowsControlRegister4) {
    if (!has(1, &CpuidEntry2::ecx, xsave_leaf1_ecx)) {
        GTEST_SKIP() << "needs XSAVE in the guest's CPUID, which this KVM does not support";
    }
    for (const u64 bit : {u64(0), cr4_osxsave, u64(0)}) {
        guest().load_long(guests::cpuid());
        change_sregs([&](Sregs& sregs) { sregs.cr4 = (sregs.cr4 & ~cr4_osxsave) | bit; });
        guest().change_regs([](Regs& regs) { regs.rax = 1; });
        guest().run_to<exit::Hlt>();
        EXPECT_EQ(guest().regs().rcx & osxsave_leaf1_ecx, bit ? osxsave_leaf1_ecx : 0u);
    }
}

TEST_F(Processor, AnInstructionAcrossTwoPagesReachesADevice) {
    guest().load_long(guests::halt());
    guest().write(layout::long_code + 0xfff, guests::store());
    guest().change_regs([](Regs& regs) {
        regs.rip += 0xfff;
        regs.rdi = layout::mmio;
        regs.rax = 0x42;
    });
    const auto write = guest().run_to<exit::MmioWrite>();
    EXPECT_EQ(write.address, Gpa(layout::mmio));
    EXPECT_EQ(number_of(write.data), 0x42u);
    guest().run_to<exit::MmioRead>().data[0] = std::byte(0x24);
    guest().run_to<exit::Hlt>();
    EXPECT_EQ(guest().regs().rbx, 0x24u);
}

TEST_F(Processor, RefusesABitOfControlRegister4ThatItsCpuidHasNot) {
    constexpr u64 vmxe = 1 << 13;
    constexpr u32 vmx_leaf1_ecx = 1 << 5;
    if (has(1, &CpuidEntry2::ecx, vmx_leaf1_ecx)) {
        GTEST_SKIP() << "needs a CPU without VMX: this KVM's guests have it";
    }
    guest().load_long(guests::halt());
    Sregs sregs = must(vcpu().sregs());
    sregs.cr4 |= vmxe;
    EXPECT_FALSE(vcpu().set_sregs(sregs));
}

TEST_F(Processor, RefusesAnApicBaseThatNoProcessorHas) {
    constexpr u64 enabled = 1 << 11, x2apic = 1 << 10, reserved = 1;
    Sregs sregs = must(vcpu().sregs());
    const u64 good = sregs.apic_base;
    for (const u64 bad : {(good & ~enabled) | x2apic, good | reserved, good | u64(1) << 60}) {
        sregs.apic_base = bad;
        EXPECT_ERRNO(vcpu().set_sregs(sregs), EINVAL);
    }
    EXPECT_EQ(must(vcpu().sregs()).apic_base, good);
}

}  // namespace
}  // namespace kvm::test
