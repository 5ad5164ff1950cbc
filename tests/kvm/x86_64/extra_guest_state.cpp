// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// State that goes from one VM to another, registers by kvm_run, what KVM tells its guests, and
// switches of KVM's own, as the kernel's and others' tests ask for them (docs/peer-tests.md).
#include "interrupts.hpp"

#include <algorithm>
#include <cerrno>
#include <thread>
#include <vector>

KVMXX_GUEST(hypercall)
KVMXX_GUEST_LABEL(hypercall, amd)
KVMXX_GUEST_LABEL(hypercall, intel)

namespace kvm::test {
namespace {

class SyncedGuest : public WithKvm {};
class MovedGuest : public WithKvm {};
class PendingEvents : public WithKvm {};
class PvTime : public WithKvm {};
class Switches : public WithKvm {};
class ProcessorsTogether : public WithKvm {};

constexpr u32 msr_kvmclock = 0x4b56'4d01, msr_steal_time = 0x4b56'4d03;

TEST_F(SyncedGuest, IsSetUpAndReadWithoutACall) {
    REQUIRE_CAP(kvm(), cap::sync_regs, SyncReg::regs | SyncReg::sregs);
    Guest guest(kvm());
    guest.load_real(guests::count());
    SyncRegs& sync = guest.vcpu().sync_regs();
    sync.regs = guest.regs();
    sync.sregs = must(guest.vcpu().sregs());
    must(guest.vcpu().set_regs(Regs{}));  // what counts is what the page has
    sync.regs.rax = 0x41;
    guest.vcpu().set_sync_dirty(SyncReg::regs | SyncReg::sregs);
    guest.vcpu().set_sync_valid(SyncReg::regs);
    EXPECT_EQ(number_of(guest.run_to<exit::IoOut>().data), 0x41u);
    EXPECT_EQ(guest.vcpu().raw().kvm_dirty_regs, 0u) << "they were taken";
    EXPECT_EQ(sync.regs.rax & 0xff, 0x41u);
    EXPECT_EQ(bytes_of(sync.regs), bytes_of(guest.regs()));
}

TEST_F(SyncedGuest, AsksForEachSetAloneAndForAll) {
    Guest guest(kvm());
    for (const Flags<SyncReg> set :
         {Flags(SyncReg::regs), Flags(SyncReg::sregs), Flags(SyncReg::events), Flags<SyncReg>(),
          SyncReg::regs | SyncReg::sregs | SyncReg::events}) {
        guest.vcpu().set_sync_valid(set);
        guest.vcpu().set_sync_dirty(set);
        EXPECT_EQ(guest.vcpu().raw().kvm_valid_regs, set.bits());
        EXPECT_EQ(guest.vcpu().raw().kvm_dirty_regs, set.bits());
    }
}

TEST_F(MovedGuest, GoesOnWhereItWas) {
    REQUIRE_CAP(kvm(), cap::vcpu_events);
    REQUIRE_CAP(kvm(), cap::xsave);
    Guest from(kvm()), to(kvm());
    from.load_real(guests::count());
    from.change_regs([](Regs& regs) { regs.rax = 'a'; });
    for (const char letter : {'a', 'b', 'c'}) {
        EXPECT_EQ(number_of(from.run_to<exit::IoOut>().data), static_cast<u64>(letter));
    }
    EXPECT_EQ(must(from.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    std::ranges::copy(from.memory(), to.memory().begin());
    Vcpu& old = from.vcpu();
    Vcpu& vcpu = to.vcpu();
    ASSERT_OK(vcpu.set_sregs(must(old.sregs())));
    ASSERT_OK(vcpu.set_regs(must(old.regs())));
    ASSERT_OK(vcpu.set_fpu(must(old.fpu())));
    ASSERT_OK(vcpu.set_xsave2(to.vm(), must(old.xsave2(from.vm()))));
    ASSERT_OK(vcpu.set_debugregs(must(old.debugregs())));
    ASSERT_OK(vcpu.set_mp_state(must(old.mp_state())));
    ASSERT_OK(vcpu.set_vcpu_events(must(old.vcpu_events())));
    EXPECT_EQ(number_of(to.run_to<exit::IoOut>().data), u64('d'));
    EXPECT_EQ(number_of(from.run_to<exit::IoOut>().data), u64('d')) << "and the old one as well";
}

TEST_F(PendingEvents, ATripleFaultIsOne) {
    Guest guest(kvm());
    REQUIRE_CAP(guest.vm(), cap::x86_triple_fault_event);
    ASSERT_OK(guest.vm().enable(cap::x86_triple_fault_event, Switch::on));
    guest.load_long(guests::halt());
    VcpuEvents events = must(guest.vcpu().vcpu_events());
    EXPECT_TRUE(Flags<VcpuEventFlag>(events.flags).has(VcpuEventFlag::triple_fault));
    EXPECT_EQ(events.triple_fault.pending, 0);
    events.triple_fault.pending = 1;
    ASSERT_OK(guest.vcpu().set_vcpu_events(events));
    EXPECT_EQ(must(guest.vcpu().vcpu_events()).triple_fault.pending, 1);
    guest.run_to<exit::Shutdown>();
}

TEST_F(PendingEvents, AnExceptionBringsItsPayload) {
    Guest guest(kvm());
    REQUIRE_CAP(guest.vm(), cap::exception_payload);
    ASSERT_OK(guest.vm().enable(cap::exception_payload, Switch::on));
    constexpr u8 page_fault = 14;
    constexpr u64 address = 0x1234'5000;
    guest.load_long(guests::handlers());
    guest.set_gate(page_fault, guests::handlers_exception());
    VcpuEvents events = must(guest.vcpu().vcpu_events());
    events.flags = Flags<VcpuEventFlag>(VcpuEventFlag::payload).bits();
    events.exception = {
        .injected = 0, .nr = page_fault, .has_error_code = 1, .pending = 1, .error_code = 2};
    events.exception_has_payload = 1;
    events.exception_payload = address;
    ASSERT_OK(guest.vcpu().set_vcpu_events(events));
    EXPECT_EQ(bytes_of(guest.run_to<exit::IoOut>().data), "x");
    EXPECT_EQ(must(guest.vcpu().sregs()).cr2, address);
}

/// Whether KVM supports this bit of its CPUID leaf of features.
bool has_feature(const Kvm& kvm, u32 bit) {
    return std::ranges::any_of(must(kvm.supported_cpuid()), [&](const CpuidEntry2& e) {
        return e.function == 0x4000'0001 && (e.eax >> bit & 1);
    });
}

TEST_F(PvTime, TheClockIsWrittenIntoTheGuestsMemory) {
    constexpr u32 clock_source2 = 3;
    if (!has_feature(kvm(), clock_source2)) {
        GTEST_SKIP() << "needs kvmclock, which this KVM lacks";
    }
    Guest guest(kvm());
    guest.load_real(guests::count());
    ClockData hour = {};
    hour.clock = 3'600'000'000'000;
    ASSERT_OK(guest.vm().set_clock(hour));
    ASSERT_OK(guest.vcpu().set_msr(msr_kvmclock, layout::data | 1));
    guest.run_to<exit::IoOut>();
    const u32 version = guest.read<u32>(layout::data);
    EXPECT_GT(version, 0u);
    EXPECT_EQ(version % 2, 0u) << "no update is under way";
    const u64 system_time = guest.read<u64>(layout::data + 16);
    EXPECT_GE(system_time, hour.clock);
    EXPECT_LT(system_time, hour.clock + 60'000'000'000);
    EXPECT_NE(guest.read<u32>(layout::data + 24), 0u) << "the TSC's multiplier";
}

TEST_F(PvTime, AClockThatWasStoppedCatchesUpWithRealTime) {
    Guest guest(kvm());
    const Vm& vm = guest.vm();
    REQUIRE_CAP(vm, cap::adjust_clock, ClockFlag::realtime);
    guest.load_real(guests::count());
    ASSERT_OK(guest.vcpu().set_msr(msr_kvmclock, layout::data | 1));
    guest.run_to<exit::IoOut>();
    const ClockData now = must(vm.clock());
    if (!Flags<ClockFlag>(now.flags).has(ClockFlag::realtime)) {
        GTEST_SKIP() << "needs a clock that goes by the TSC, which this KVM's does not";
    }
    constexpr u64 hour = 3'600'000'000'000;
    ClockData saved = {};
    saved.clock = 5'000'000'000;
    saved.realtime = now.realtime - hour;  // as if it had been read an hour ago
    saved.flags = Flags<ClockFlag>(ClockFlag::realtime).bits();
    ASSERT_OK(vm.set_clock(saved));
    EXPECT_GE(must(vm.clock()).clock, saved.clock + hour);
    EXPECT_LT(must(vm.clock()).clock, saved.clock + hour + 60'000'000'000);
}

TEST_F(PvTime, StolenTimeIsWrittenIntoTheGuestsMemory) {
    constexpr u32 steal_time = 5;
    if (!has_feature(kvm(), steal_time)) {
        GTEST_SKIP() << "needs the count of stolen time, which this KVM lacks";
    }
    Guest guest(kvm());
    guest.load_real(guests::count());
    ASSERT_OK(guest.vcpu().set_msr(msr_steal_time, layout::data | 1));
    EXPECT_EQ(must(guest.vcpu().msr(msr_steal_time)), layout::data | 1);
    guest.run_to<exit::IoOut>();
    const u32 version = guest.read<u32>(layout::data + 8);
    EXPECT_GT(version, 0u);
    EXPECT_EQ(version % 2, 0u) << "no update is under way";
    EXPECT_EQ(guest.read<u32>(layout::data + 12), 0u) << "flags";
    EXPECT_FALSE(guest.vcpu().set_msr(msr_steal_time, layout::data | 3)) << "a reserved bit";
}

TEST_F(PvTime, TheHostsWriteOfTheAdjustmentLeavesTheTscAlone) {
    constexpr u32 tsc = 0x10, tsc_adjust = 0x3b;
    Guest guest(kvm());
    if (!guest.vcpu().msr(tsc_adjust)) {
        GTEST_SKIP() << "needs the MSR TSC_ADJUST, which this KVM lacks";
    }
    const u64 before = must(guest.vcpu().msr(tsc));
    ASSERT_OK(guest.vcpu().set_msr(tsc_adjust, u64(1) << 50));
    EXPECT_EQ(must(guest.vcpu().msr(tsc_adjust)), u64(1) << 50);
    EXPECT_LT(must(guest.vcpu().msr(tsc)) - before, u64(1) << 50);
}

TEST_F(PvTime, HyperVsReferenceTimeFollowsTheClock) {
    constexpr u32 reference_counter = 0x4000'0020;  // in units of 100 ns
    Guest guest(kvm(), [](Vm& vm) { must(vm.create_irqchip()); });
    REQUIRE_CAP(guest.vm(), cap::hyperv_time);
    ClockData hour = {};
    hour.clock = 3'600'000'000'000;
    ASSERT_OK(guest.vm().set_clock(hour));
    const u64 first = must(guest.vcpu().msr(reference_counter));
    EXPECT_GE(first, hour.clock / 100);
    EXPECT_LT(first, (hour.clock + 60'000'000'000) / 100);
    EXPECT_GE(must(guest.vcpu().msr(reference_counter)), first);
}

/// A guest about to read or write an MSR.
void about_to(Guest& guest, std::size_t label, u32 msr) {
    guest.load_long(guests::msr());
    guest.set_gate(13, guests::msr_fault());
    guest.change_regs([&](Regs& regs) {
        regs.rip += label;
        regs.rcx = msr;
    });
}

TEST_F(Switches, WhatTheGuestsCpuidHasNotIsAFaultOnceThatIsEnforced) {
    REQUIRE_CAP(kvm(), cap::enforce_pv_feature_cpuid);
    Guest guest(kvm());
    CpuidList leaves = must(kvm().supported_cpuid());
    for (CpuidEntry2& leaf : leaves) {
        if (leaf.function == 0x4000'0001) {
            leaf.eax = 0;
        }
    }
    ASSERT_OK(guest.vcpu().set_cpuid2(leaves));
    ASSERT_OK(guest.vcpu().enable(cap::enforce_pv_feature_cpuid, Switch::on));
    about_to(guest, guests::msr_write(), msr_kvmclock);
    EXPECT_EQ(bytes_of(guest.run_to<exit::IoOut>().data), "g");
}

TEST_F(Switches, ThePlatformsMsrIsTheGuestsOrAFault) {
    constexpr u32 platform_info = 0xce;
    for (const Switch allowed : {Switch::on, Switch::off}) {
        Guest guest(kvm());
        REQUIRE_CAP(guest.vm(), cap::msr_platform_info);
        ASSERT_OK(guest.vm().enable(cap::msr_platform_info, allowed));
        about_to(guest, guests::msr_read(), platform_info);
        EXPECT_EQ(bytes_of(guest.run_to<exit::IoOut>().data), allowed == Switch::on ? "o" : "g");
    }
}

TEST_F(Switches, AHypercallOfTheOtherVendorIsUndefinedWithoutTheQuirk) {
    REQUIRE_CAP(kvm(), cap::disable_quirks2, Quirk::fix_hypercall_insn);
    Guest guest(kvm());
    ASSERT_OK(guest.vm().enable(cap::disable_quirks2, Quirk::fix_hypercall_insn));
    guest.load_long(guests::hypercall());
    constexpr std::size_t behind = 0x1000;
    guest.write(layout::long_code + behind, guests::handlers());
    guest.set_gate(6, behind + guests::handlers_exception());
    const CpuidList leaves = must(guest.vcpu().cpuid2());
    const auto vendor = std::ranges::find(leaves, 0u, &CpuidEntry2::function);
    const bool intel = vendor != leaves.end() && vendor->ebx == 0x756e6547;  // "Genu"
    const std::size_t wrong = intel ? guests::hypercall_amd() : guests::hypercall_intel();
    guest.change_regs([&](Regs& regs) { regs.rip += wrong; });
    try {
        const Exit exit = guest.run(std::chrono::seconds(2));
        EXPECT_EQ(bytes_of(guest.payload<exit::IoOut>(exit).data), "x");
    } catch (const std::runtime_error& error) {
        GTEST_SKIP() << "needs hypercalls from the guest's kernel mode: " << error.what();
    }
}

TEST_F(Switches, TheMsrOfSupervisorStatesTakesSupportedBitsOnly) {
    constexpr u32 xss = 0xda0;
    Guest guest(kvm());
    if (std::ranges::count(must(kvm().msr_index_list()), xss) == 0) {
        GTEST_SKIP() << "needs the MSR IA32_XSS, which this KVM lacks";
    }
    EXPECT_EQ(must(guest.vcpu().msr(xss)), 0u);
    EXPECT_OK(guest.vcpu().set_msr(xss, 0));
    EXPECT_ERRNO(guest.vcpu().set_msr(xss, ~u64(0)), EINVAL);
    EXPECT_EQ(must(guest.vcpu().msr(xss)), 0u);
}

TEST_F(ProcessorsTogether, AnInterruptFromOneWakesAnotherThatHalts) {
    constexpr u64 lapic = 0xfee00000;
    constexpr u8 vector = 0x45;
    Guest guest(kvm(), [](Vm& vm) { must(vm.create_irqchip()); });
    load_script(guest, {{store4, lapic + 0xf0, 0x1ff}, {wait}, {out1, 0xe2, 0}});
    guest.set_gate(vector, guests::script_interrupt());
    Vcpu other = must(guest.vm().create_vcpu(VcpuId(1)));
    must(other.set_cpuid2(must(kvm().supported_cpuid())));
    Sregs sregs = must(guest.vcpu().sregs());
    sregs.apic_base = must(other.sregs()).apic_base;
    must(other.set_sregs(sregs));
    must(other.set_mp_state({MpStateValue::runnable}));
    constexpr u64 its_script = layout::data + 0x1000;
    const std::vector<Operation> sends = {{store4, lapic + 0xf0, 0x1ff},
                                          {out1, 0xe1, 0},
                                          {store4, lapic + 0x310, 0},
                                          {store4, lapic + 0x300, vector},
                                          {out1, 0xe3, 0}};
    guest.write(its_script, std::as_bytes(std::span(sends)));
    Regs regs = guest.regs();
    regs.rsi = its_script;
    regs.rsp -= 0x1000;
    must(other.set_regs(regs));
    std::jthread sender([&] {
        const Watchdog watchdog(std::chrono::seconds(10));
        EXPECT_EQ(must(other.run()).reason(), ExitReason::io);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        EXPECT_EQ(must(other.run()).reason(), ExitReason::io);
    });
    EXPECT_EQ(guest.run_to<exit::IoOut>().port, interrupted_port);
    EXPECT_EQ(guest.run_to<exit::IoOut>().port, Port(0xe2));
}

}  // namespace
}  // namespace kvm::test
