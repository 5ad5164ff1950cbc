// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/x86_64/one_reg.hpp>
#include <support/guest.hpp>
#include <vector>

namespace kvm::test {
namespace {

class MsrFilters : public WithKvm {};
class MachineChecks : public WithKvm {};
class OneRegsX86 : public WithKvm {};
class OldForms : public WithKvm {};
class NestedGuests : public WithKvm {};
class ShadowPages : public WithKvm {};
class PmuFilters : public WithKvm {};

constexpr u32 star = 0xc0000081, lstar = 0xc0000082;

/// A guest that will read or write the MSR in ecx.
void about_to(Guest& guest, std::size_t label, u32 msr, u64 value = 0) {
    guest.load_long(guests::msr());
    guest.set_gate(13, guests::msr_fault());
    guest.change_regs([&](Regs& regs) {
        regs.rip += label;
        regs.rcx = msr;
        regs.rax = value & 0xffffffff;
        regs.rdx = value >> 32;
    });
}

TEST_F(MsrFilters, GiveTheGuestAFaultWhereTheyDeny) {
    REQUIRE_CAP(kvm(), cap::x86_msr_filter);
    Guest guest(kvm());
    const std::vector<u8> none(8);
    const MsrRange range{MsrFilterFlag::read | MsrFilterFlag::write, star, 1, none};
    ASSERT_OK(guest.vm().set_msr_filter(MsrFilterDefault::allow, {&range, 1}));
    about_to(guest, guests::msr_read(), star);
    EXPECT_EQ(guest.run_to<exit::IoOut>().data[0], std::byte{'g'});
    about_to(guest, guests::msr_read(), lstar);
    EXPECT_EQ(guest.run_to<exit::IoOut>().data[0], std::byte{'o'});
}

TEST_F(MsrFilters, TellReadsFromWrites) {
    REQUIRE_CAP(kvm(), cap::x86_msr_filter);
    Guest guest(kvm());
    const std::vector<u8> none(8);
    const MsrRange range{MsrFilterFlag::write, star, 1, none};
    ASSERT_OK(guest.vm().set_msr_filter(MsrFilterDefault::allow, {&range, 1}));
    about_to(guest, guests::msr_read(), star);
    EXPECT_EQ(guest.run_to<exit::IoOut>().data[0], std::byte{'o'});
    about_to(guest, guests::msr_write(), star, 1);
    EXPECT_EQ(guest.run_to<exit::IoOut>().data[0], std::byte{'g'});
}

TEST_F(MsrFilters, ExitWhereTheVmmAskedForThat) {
    REQUIRE_CAP(kvm(), cap::x86_msr_filter);
    Guest guest(kvm());
    ASSERT_OK(guest.vm().enable(cap::x86_user_space_msr, MsrExitReason::filter));
    const std::vector<u8> none(8);
    const MsrRange range{MsrFilterFlag::read | MsrFilterFlag::write, star, 1, none};
    ASSERT_OK(guest.vm().set_msr_filter(MsrFilterDefault::allow, {&range, 1}));
    about_to(guest, guests::msr_write(), star, 0x1234'5678'9abc);
    const auto write = guest.run_to<exit::Wrmsr>();
    EXPECT_EQ(write.index, star);
    EXPECT_EQ(write.reason, MsrExitReason::filter);
    EXPECT_EQ(write.data, 0x1234'5678'9abcu);
    EXPECT_EQ(guest.run_to<exit::IoOut>().data[0], std::byte{'o'});
}

TEST_F(MsrFilters, AreCheckedBeforeTheKernelReadsTheirBitmaps) {
    const Vm vm = must(kvm().create_vm());
    const std::vector<u8> bytes(8);
    const MsrRange too_short{MsrFilterFlag::read, star, 65, bytes};
    const auto refused = vm.set_msr_filter(MsrFilterDefault::allow, {&too_short, 1});
    ASSERT_ERRNO(refused, EMSGSIZE);
    const std::vector<MsrRange> many(17, MsrRange{MsrFilterFlag::read, star, 1, bytes});
    EXPECT_ERRNO(vm.set_msr_filter(MsrFilterDefault::allow, many), E2BIG);
}

TEST_F(MachineChecks, NeedBanksThatWereSetUp) {
    REQUIRE_CAP(kvm(), cap::mce);
    Guest guest(kvm());
    const u64 supported = must(kvm().mce_cap_supported());
    const u64 banks = static_cast<u64>(must(kvm().check(cap::mce)));
    ASSERT_OK(guest.vcpu().setup_mce((supported & ~u64(0xff)) | banks));
    EXPECT_ERRNO(guest.vcpu().setup_mce((supported & ~u64(0xff)) | 255), EINVAL);
    X86Mce mce{};
    mce.bank = 255;
    EXPECT_ERRNO(guest.vcpu().set_mce(mce), EINVAL);
}

TEST_F(MachineChecks, PutAnErrorIntoTheGuestsBank) {
    REQUIRE_CAP(kvm(), cap::mce);
    Guest guest(kvm());
    const u64 supported = must(kvm().mce_cap_supported());
    ASSERT_OK(guest.vcpu().setup_mce((supported & ~u64(0xff)) | 4));
    constexpr u32 mc1_ctl = 0x404, mc1_status = 0x405;
    constexpr u64 valid = u64(1) << 63;
    ASSERT_OK(guest.vcpu().set_msr(mc1_ctl, ~u64(0)));
    X86Mce mce{};
    mce.bank = 1;
    mce.status = valid | 0x134;
    ASSERT_OK(guest.vcpu().set_mce(mce));
    EXPECT_EQ(must(guest.vcpu().msr(mc1_status)), valid | 0x134);
}

TEST_F(OneRegsX86, AreMsrsToo) {
    REQUIRE_CAP(kvm(), cap::one_reg);
    Guest guest(kvm());
    ASSERT_OK(guest.vcpu().set_one_reg(msr_reg(star), u64(0x1122'3344'5566'7788)));
    EXPECT_EQ(must(guest.vcpu().msr(star)), 0x1122'3344'5566'7788u);
}

TEST_F(OldForms, OfCpuidSetLeavesWithoutSubleaves) {
    Guest guest(kvm());
    const auto leaves = {CpuidEntry{0, 1, 2, 3, 4, 0}};
    ASSERT_OK(guest.vcpu().set_cpuid(must(OldCpuidList::from(leaves))));
    const CpuidList now = must(guest.vcpu().cpuid2());
    ASSERT_EQ(now.size(), 1u);
    EXPECT_EQ(now[0].function, 0u);
    EXPECT_EQ(now[0].ebx, 2u);
}

TEST_F(OldForms, OfTheTimerGiveItsChannels) {
    REQUIRE_CAP(kvm(), cap::pit);
    const Vm vm = must(kvm().create_vm());
    EXPECT_ERRNO(vm.pit(), ENXIO);
    ASSERT_OK(vm.create_irqchip());
    ASSERT_OK(vm.create_pit());
    PitState state = must(vm.pit());
    state.channels[2].count = 0x4321;
    state.channels[2].mode = 3;
    ASSERT_OK(vm.set_pit(state));
    EXPECT_EQ(must(vm.pit()).channels[2].count, 0x4321u);
}

TEST_F(OldForms, OfTheVirtualApicWantAnApicInTheKernel) {
    REQUIRE_CAP(kvm(), cap::vapic);
    Guest without(kvm());
    EXPECT_ERRNO(without.vcpu().set_vapic_addr(Gpa(layout::data)), EINVAL);
    Guest guest(kvm(), [](Vm& vm) { must(vm.create_irqchip()); });
    EXPECT_OK(guest.vcpu().set_vapic_addr(Gpa(layout::data)));
}

TEST_F(NestedGuests, HaveAStateThatCanBeSetAgain) {
    REQUIRE_CAP(kvm(), cap::nested_state);
    Guest guest(kvm());
    const auto state = guest.vcpu().nested_state();
    if (!state) {
        GTEST_SKIP() << "the guest's CPU has neither VMX nor SVM: " << describe(state.error());
    }
    EXPECT_GE(state->header().size, sizeof(NestedState));
    EXPECT_EQ(state->data().size(), state->header().size - sizeof(NestedState));
    EXPECT_OK(guest.vcpu().set_nested_state(*state));
}

TEST_F(NestedGuests, HaveAStateThatIsChecked) {
    EXPECT_ERRNO(NestedStateBlob::with_size(4), EINVAL);
    Guest guest(kvm());
    NestedStateBlob wrong = must(NestedStateBlob::with_size(sizeof(NestedState)));
    wrong.header().flags = 0xffff;
    EXPECT_FALSE(guest.vcpu().set_nested_state(wrong));
}

TEST_F(ShadowPages, AreLimited) {
    REQUIRE_CAP(kvm(), cap::mmu_shadow_cache_control);
    const Vm vm = must(kvm().create_vm());
    ASSERT_OK(vm.set_nr_mmu_pages(100));
    const auto pages = vm.nr_mmu_pages();
    if (!pages) {
        GTEST_SKIP() << "this KVM no longer tells: " << describe(pages.error());
    }
    EXPECT_EQ(*pages, 100u);
    EXPECT_ERRNO(vm.set_nr_mmu_pages(1), EINVAL);
}

TEST_F(PmuFilters, TakeEventsAndRefuseUnknownActions) {
    REQUIRE_CAP(kvm(), cap::pmu_event_filter);
    const Vm vm = must(kvm().create_vm());
    PmuEvents filter = must(PmuEvents::with_capacity(2));
    ASSERT_OK(filter.push_back(0xc0));
    filter.header().action = PmuEventAction::deny;
    EXPECT_OK(vm.set_pmu_event_filter(filter));
    filter.header().action = PmuEventAction(77);
    EXPECT_ERRNO(vm.set_pmu_event_filter(filter), EINVAL);
}

}  // namespace
}  // namespace kvm::test
