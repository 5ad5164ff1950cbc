// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// MONITOR and MWAIT, instructions in an interrupt shadow, what else stops a guest that is debugged.

#include <algorithm>
#include <debugging.hpp>

KVMXX_GUEST(mwait)
KVMXX_GUEST_LABEL(mwait, wait)
KVMXX_GUEST_LABEL(mwait, fault)
KVMXX_GUEST(shadow)
KVMXX_GUEST_LABEL(shadow, stack)
KVMXX_GUEST(detect)
KVMXX_GUEST_LABEL(detect, handler)

namespace kvm::test {
namespace {

constexpr u8 undefined_opcode = 6, debug_vector = 1;

std::string output(Guest& guest) { return bytes_of(guest.run_to<exit::IoOut>().data); }

class Waiting : public WithKvm {
protected:
    /// A guest about to wait, with or without MONITOR among its CPU's features, with the quirk or
    /// without.
    static void prepare(Guest& guest, bool has_feature, bool has_quirk) {
        CpuidList leaves = must(guest.vcpu().cpuid2());
        for (CpuidEntry2& leaf : leaves) {
            if (leaf.function == 1) {
                constexpr u32 monitor = 1u << 3;
                leaf.ecx = has_feature ? leaf.ecx | monitor : leaf.ecx & ~monitor;
            }
        }
        must(guest.vcpu().set_cpuid2(leaves));
        if (!has_quirk) {
            must(guest.vm().enable(cap::disable_quirks2, Quirk::mwait_never_ud_faults));
        }
        guest.load_long(guests::mwait());
        guest.set_gate(undefined_opcode, guests::mwait_fault());
        guest.change_regs([](Regs& regs) { regs.rsi = layout::data; });
    }
};

#define REQUIRE_OUTPUT(guest, letter)                                                              \
    do {                                                                                           \
        const Exit exit = (guest).run();                                                           \
        if (exit.reason() == ExitReason::internal_error) {                                         \
            GTEST_SKIP() << "needs monitor and mwait, which this KVM cannot interpret";            \
        }                                                                                          \
        EXPECT_EQ(bytes_of((guest).payload<exit::IoOut>(exit).data), letter);                      \
    } while (false)

TEST_F(Waiting, IsNothingWithTheQuirkThoughTheCpuidHasItNot) {
    REQUIRE_CAP(kvm(), cap::disable_quirks2, Quirk::mwait_never_ud_faults);
    Guest guest(kvm());
    prepare(guest, false, true);
    REQUIRE_OUTPUT(guest, "m");
    REQUIRE_OUTPUT(guest, "w");
}

TEST_F(Waiting, IsUndefinedWithoutTheQuirkWhereTheCpuidHasItNot) {
    REQUIRE_CAP(kvm(), cap::disable_quirks2, Quirk::mwait_never_ud_faults);
    for (const std::size_t start : {std::size_t(0), guests::mwait_wait()}) {
        Guest guest(kvm());
        prepare(guest, false, false);
        guest.change_regs([&](Regs& regs) { regs.rip += start; });
        REQUIRE_OUTPUT(guest, "f");
    }
}

TEST_F(Waiting, IsDefinedWhereTheCpuidHasIt) {
    REQUIRE_CAP(kvm(), cap::disable_quirks2, Quirk::mwait_never_ud_faults);
    Guest guest(kvm());
    prepare(guest, true, false);
    REQUIRE_OUTPUT(guest, "m");
    REQUIRE_OUTPUT(guest, "w");
}

class Shadows : public WithKvm {
protected:
    /// Runs to the instruction in the shadow, which is `letter`'s, then to the shadow's end.
    void expect_shadow(std::size_t start, const char* letter) {
        Guest guest(kvm());
        guest.load_long(guests::shadow());
        guest.change_regs([&](Regs& regs) { regs.rip += start; });
        ASSERT_EQ(output(guest), letter);
        EXPECT_EQ(guest.vcpu().raw().if_flag, 1) << "interrupts are let in";
        if (guest.vcpu().raw().ready_for_interrupt_injection) {
            GTEST_SKIP() << "needs a shadow that lasts until the exit, which this KVM ends before";
        }
        if (must(kvm().check(cap::vcpu_events))) {
            EXPECT_NE(must(guest.vcpu().vcpu_events()).interrupt.shadow, 0);
        }
        guest.vcpu().raw().request_interrupt_window = 1;
        guest.run_to<exit::IrqWindowOpen>();
        EXPECT_EQ(guest.vcpu().raw().ready_for_interrupt_injection, 1);
        EXPECT_EQ(must(guest.vcpu().vcpu_events()).interrupt.shadow, 0);
        guest.vcpu().raw().request_interrupt_window = 0;
        EXPECT_EQ(output(guest), "e");
    }
};

TEST_F(Shadows, NoInterruptMayComeRightAfterSti) { expect_shadow(0, "s"); }
TEST_F(Shadows, NoInterruptMayComeRightAfterMovSs) { expect_shadow(guests::shadow_stack(), "m"); }

class Detecting : public DebuggedGuest {};

TEST_F(Detecting, AGuestThatDetectsAccessesToDebugRegistersHasAnExceptionOfItsOwn) {
    guest().load_long(guests::detect());
    guest().set_gate(debug_vector, guests::detect_handler());
    auto registers = must(guest().vcpu().debugregs());
    registers.dr7 = 0x400 | 1u << 13;  // GD
    ASSERT_OK(guest().vcpu().set_debugregs(registers));
    debug({}, GuestDebugFlag::use_hw_bp);  // or KVM leaves it to the processor, and QEMU's has none
    const u64 dr6 = number_of(guest().run_to<exit::IoOut>().data);
    if (dr6 == 0xffffffff) {
        GTEST_SKIP() << "needs general detect, which this KVM or its processor lacks";
    }
    EXPECT_EQ(dr6 & 1u << 13, 1u << 13) << "BD";
}

TEST_F(Detecting, TheVmmMayDetectAccessesToDebugRegisters) {
    guest().load_long(guests::detect());
    guest().set_gate(debug_vector, guests::detect_handler());
    GuestDebug registers = {};
    registers.debugreg[7] = 0x400 | 1u << 13;
    debug(registers, GuestDebugFlag::use_hw_bp);
    const Exit exit = guest().run();
    if (exit.reason() != ExitReason::debug) {
        GTEST_SKIP() << "needs general detect for the VMM, which this KVM or its processor lacks: "
                     << describe(exit);
    }
    const auto stop = guest().payload<exit::Debug>(exit);
    EXPECT_EQ(stop.arch.dr6 & 1u << 13, 1u << 13) << "BD";
    EXPECT_EQ(stop.arch.pc, layout::code);
}

TEST_F(Detecting, WithInterruptsBlockedAStepIsNotAHandlers) {
    REQUIRE_CAP(kvm(), cap::set_guest_debug2, GuestDebugFlag::blockirq);
    REQUIRE_CAP(kvm(), cap::irqchip);
    for (const bool blocked : {true, false}) {
        Guest own(kvm(), [](Vm& vm) { must(vm.create_irqchip()); });
        own.load_long(guests::steps());
        constexpr u8 vector = 0x30;
        constexpr std::size_t handler = 0x1000;
        own.set_gate(vector, handler);
        own.write<u16>(layout::code + handler, 0x80e6);  // out %al, $0x80
        own.change_regs([](Regs& regs) { regs.rflags |= 1u << 9; });
        LapicState lapic = must(own.vcpu().lapic());
        const u32 enabled = 0x1ff, requested = 1u << vector % 32;
        std::memcpy(lapic.regs + 0xf0, &enabled, sizeof enabled);
        std::memcpy(lapic.regs + 0x200 + vector / 32 * 16, &requested, sizeof requested);
        ASSERT_OK(own.vcpu().set_lapic(lapic));
        GuestDebug registers = {};
        Flags<GuestDebugFlag> flags = GuestDebugFlag::enable | GuestDebugFlag::singlestep;
        if (blocked) {
            flags = flags | GuestDebugFlag::blockirq;
        }
        registers.control = flags.bits();
        ASSERT_OK(own.vcpu().set_guest_debug(registers));
        const Exit exit = own.run();
        if (!blocked && exit.reason() == ExitReason::io) {
            continue;  // AMD's processors do not step a handler
        }
        const u64 at = own.payload<exit::Debug>(exit).arch.pc;
        EXPECT_EQ(at < layout::code + handler, blocked) << std::hex << at;
    }
}

}  // namespace
}  // namespace kvm::test
