// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <support/guest.hpp>

KVMXX_GUEST(cr8)
KVMXX_GUEST(hypercall)
KVMXX_GUEST_LABEL(hypercall, amd)
KVMXX_GUEST_LABEL(hypercall, intel)
KVMXX_GUEST(ioapic_eoi)
KVMXX_GUEST_LABEL(ioapic_eoi, interrupt)
KVMXX_GUEST(triple_fault)
KVMXX_GUEST(unemulated)

namespace kvm::test {
namespace {

class ExitEvents : public WithKvm {};

TEST_F(ExitEvents, ATripleFaultIsAShutdown) {
    Guest guest(kvm());
    guest.load_long(guests::triple_fault());
    guest.run_to<exit::Shutdown>();
}

TEST_F(ExitEvents, LoweringTheTaskPriorityIsToldWithoutAnIrqchip) {
    Guest guest(kvm());
    guest.load_long(guests::cr8());
    const Exit exit = guest.run();
    if (exit.reason() == ExitReason::hlt) {
        GTEST_SKIP()
            << "needs a KVM that tells of CR8: this one interprets the write without an exit";
    }
    EXPECT_EQ(guest.payload<exit::SetTpr>(exit).cr8, 2u);
    guest.run_to<exit::Hlt>();
}

/// A guest about to make its hypercall, by the instruction that its CPUID's vendor has.
void prepare_hypercall(Guest& guest) {
    guest.load_long(guests::hypercall());
    const auto leaves = must(guest.vcpu().cpuid2());
    const auto vendor = std::ranges::find(leaves, 0u, &CpuidEntry2::function);
    const bool intel = vendor != leaves.end() && vendor->ebx == 0x756e6547;  // "Genu"
    const std::size_t entry = intel ? guests::hypercall_intel() : guests::hypercall_amd();
    guest.change_regs([&](Regs& regs) { regs.rip += entry; });
}

/// The exit of a guest that makes a hypercall, if it makes one: some KVM without hardware
/// virtualisation stays at the instruction.
std::optional<Exit> run_hypercall(Guest& guest) {
    try {
        return guest.run(std::chrono::seconds(2));
    } catch (const std::runtime_error&) {
        return std::nullopt;
    }
}

constexpr const char* no_hypercalls =
    "needs hypercalls from the guest's kernel mode, at which this KVM stays for ever";

TEST_F(ExitEvents, AHypercallHasItsArgumentsAndTakesItsResult) {
    REQUIRE_CAP(kvm(), cap::exit_hypercall, HypercallExit::map_gpa_range);
    Guest guest(kvm());
    ASSERT_OK(guest.vm().enable(cap::exit_hypercall, HypercallExit::map_gpa_range));
    prepare_hypercall(guest);
    const auto exit = run_hypercall(guest);
    if (!exit) {
        GTEST_SKIP() << no_hypercalls;
    }
    const auto call = guest.payload<exit::Hypercall>(*exit);
    EXPECT_EQ(call.nr, 12u);
    EXPECT_EQ(call.args[0], 0x100000u);
    EXPECT_EQ(call.args[1], 2u);
    EXPECT_EQ(call.args[2], 3u);
    call.ret = 0x77;
    guest.run_to<exit::Hlt>();
    EXPECT_EQ(guest.regs().rax, 0x77u);
}

TEST_F(ExitEvents, AHypercallThatWasNotAskedForIsTheKernels) {
    Guest guest(kvm());
    prepare_hypercall(guest);
    const auto exit = run_hypercall(guest);
    if (!exit) {
        GTEST_SKIP() << no_hypercalls;
    }
    guest.payload<exit::Hlt>(*exit);
    EXPECT_EQ(guest.regs().rax, u64(-1000)) << "KVM_ENOSYS";
}

TEST_F(ExitEvents, AnInstructionThatCannotBeEmulatedIsAnInternalErrorWithItsBytes) {
    REQUIRE_CAP(kvm(), cap::exit_on_emulation_failure);
    Guest guest(kvm());
    ASSERT_OK(guest.vm().enable(cap::exit_on_emulation_failure, Switch::on));
    guest.load_long(guests::unemulated());
    guest.change_regs([](Regs& regs) { regs.rdi = layout::mmio; });
    const auto error = guest.run_to<exit::InternalError>();
    EXPECT_EQ(error.suberror, exit::InternalErrorKind::emulation);
    if (error.insn.empty()) {
        GTEST_SKIP() << "this KVM gives no instruction bytes";
    }
    EXPECT_EQ(error.insn[0], 0xd9) << "flds (%rdi)";
    EXPECT_EQ(error.insn[1], 0x07);
    EXPECT_LE(error.insn.size(), 15u);
}

TEST_F(ExitEvents, TheEndOfALevelTriggeredInterruptIsToldWithASplitIrqchip) {
    REQUIRE_CAP(kvm(), cap::split_irqchip);
    REQUIRE_CAP(kvm(), cap::signal_msi);
    constexpr u8 vector = 0x41;
    constexpr u32 level_asserted = 1u << 15 | 1u << 14;
    constexpr Gsi line{5};
    Guest guest(kvm(), [](Vm& vm) { must(vm.enable(cap::split_irqchip, 24)); });
    guest.load_long(guests::ioapic_eoi());
    guest.set_gate(vector, guests::ioapic_eoi_interrupt());
    IrqRoutingEntry entry = {};
    entry.gsi = static_cast<u32>(line);
    entry.type = IrqRoutingType::msi;
    entry.u.msi = {
        .address_lo = 0xfee00000, .address_hi = 0, .data = vector | level_asserted, .devid = 0};
    ASSERT_OK(guest.vm().set_gsi_routing(must(GsiRouting::from({&entry, 1}))));
    EXPECT_EQ(bytes_of(guest.run_to<exit::IoOut>().data), "r");
    ASSERT_OK(guest.vm().irq_line(line, Level::high));
    // A KVM that interprets the guest tells of the end only when it next leaves the guest.
    int ends = 0;
    for (int i = 0; i < 2; ++i) {
        const Exit exit = guest.run();
        if (exit.reason() == ExitReason::ioapic_eoi) {
            EXPECT_EQ(guest.payload<exit::IoapicEoi>(exit).vector, vector);
            ++ends;
        } else {
            EXPECT_EQ(bytes_of(guest.payload<exit::IoOut>(exit).data), "i");
        }
    }
    EXPECT_EQ(ends, 1);
}

}  // namespace
}  // namespace kvm::test
