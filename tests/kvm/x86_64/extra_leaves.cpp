// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What extra_interface.cpp asks for, of x86_64's own calls.
#include <algorithm>
#include <cerrno>
#include <support/guest.hpp>
#include <vector>

namespace kvm::test {
namespace {

class ClosedX86 : public WithKvm {};
class VcpusX86 : public WithKvm {};
class Leaves : public WithKvm {};
class Interrupts : public WithKvm {};
class EnablingX86 : public WithKvm {};

TEST_F(ClosedX86, AKvmAnswersEbadfToEveryCall) {
    Kvm old = must(Kvm::open());
    const Kvm moved = std::move(old);
    EXPECT_ERRNO(old.supported_cpuid(), EBADF);  // NOLINT(bugprone-use-after-move)
    EXPECT_ERRNO(old.emulated_cpuid(), EBADF);
    EXPECT_ERRNO(old.msr_index_list(), EBADF);
    EXPECT_ERRNO(old.msr_feature_index_list(), EBADF);
    EXPECT_OK(moved.api_version());
}

TEST_F(ClosedX86, AVmAnswersEbadfToEveryCall) {
    Vm old = must(kvm().create_vm());
    const Vm moved = std::move(old);
    EXPECT_ERRNO(old.set_tss_addr(0_gpa), EBADF);  // NOLINT(bugprone-use-after-move)
    EXPECT_ERRNO(old.set_identity_map_addr(0_gpa), EBADF);
    EXPECT_ERRNO(old.irqchip(IrqchipId::ioapic), EBADF);
    EXPECT_ERRNO(old.set_irqchip(Irqchip{}), EBADF);
    EXPECT_ERRNO(old.create_pit2(), EBADF);
    EXPECT_ERRNO(old.pit2(), EBADF);
    EXPECT_ERRNO(old.set_pit2(PitState2{}), EBADF);
    EXPECT_ERRNO(old.clock(), EBADF);
    EXPECT_ERRNO(old.set_clock(ClockData{}), EBADF);
    EXPECT_OK(moved.check(cap::irqchip));
}

TEST_F(ClosedX86, AVcpuAnswersEbadfToEveryCall) {
    const Vm vm = must(kvm().create_vm());
    Vcpu old = must(vm.create_vcpu(VcpuId(0)));
    const Vcpu moved = std::move(old);
    EXPECT_ERRNO(old.regs(), EBADF);  // NOLINT(bugprone-use-after-move)
    EXPECT_ERRNO(old.set_regs(Regs{}), EBADF);
    EXPECT_ERRNO(old.sregs(), EBADF);
    EXPECT_ERRNO(old.set_sregs(Sregs{}), EBADF);
    EXPECT_ERRNO(old.fpu(), EBADF);
    EXPECT_ERRNO(old.set_fpu(Fpu{}), EBADF);
    EXPECT_ERRNO(old.msr(0x10), EBADF);
    EXPECT_ERRNO(old.set_msr(0x10, 0), EBADF);
    EXPECT_ERRNO(old.cpuid2(), EBADF);
    EXPECT_ERRNO(old.set_cpuid2(must(CpuidList::with_capacity(0))), EBADF);
    EXPECT_OK(moved.regs());
}

TEST_F(VcpusX86, HaveIdsBelowALimitThatIsSetOnce) {
    const Vm vm = must(kvm().create_vm());
    const u32 limit = static_cast<u32>(must(vm.check(cap::max_vcpu_id)));
    const auto set = vm.enable(cap::max_vcpu_id, 10u);
    if (!set) {
        GTEST_SKIP() << "needs KVM_CAP_MAX_VCPU_ID to be enabled, since Linux 6.0: "
                     << describe(set.error());
    }
    EXPECT_ERRNO(vm.enable(cap::max_vcpu_id, limit + 1), EINVAL);
    EXPECT_ERRNO(vm.enable(cap::max_vcpu_id, 11u), EINVAL) << "it was set before";
    EXPECT_ERRNO(vm.create_vcpu(VcpuId(10)), EINVAL);
    EXPECT_OK(vm.create_vcpu(VcpuId(9)));
}

TEST_F(Leaves, AreEachVcpusOwn) {
    const Vm vm = must(kvm().create_vm());
    std::vector<Vcpu> vcpus;
    for (u32 id = 0; id < 3; ++id) {
        vcpus.push_back(must(vm.create_vcpu(VcpuId(id))));
        const auto leaf = {CpuidEntry2{0, 0, 0, 1, id, 0, 0, {}}};
        ASSERT_OK(vcpus.back().set_cpuid2(must(CpuidList::from(leaf))));
    }
    for (u32 id = 0; id < 3; ++id) {
        EXPECT_EQ(must(vcpus[id].cpuid2())[0].ebx, id);
    }
}

TEST_F(Leaves, KeepTheVendorThatWasSet) {
    const Vm vm = must(kvm().create_vm());
    Vcpu vcpu = must(vm.create_vcpu(VcpuId(0)));
    CpuidList leaves = must(kvm().supported_cpuid());
    CpuidEntry2& vendor = *std::ranges::find(leaves, 0u, &CpuidEntry2::function);
    vendor.ebx = vendor.edx = vendor.ecx = 0x2065'7641;
    ASSERT_OK(vcpu.set_cpuid2(leaves));
    const CpuidList now = must(vcpu.cpuid2());
    const auto read = std::ranges::find(now, 0u, &CpuidEntry2::function);
    ASSERT_NE(read, now.end());
    EXPECT_EQ(read->ebx, 0x2065'7641u);
    EXPECT_EQ(read->ecx, 0x2065'7641u);
    EXPECT_EQ(read->edx, 0x2065'7641u);
}

TEST_F(Leaves, LackAFeatureThatWasTakenAway) {
    constexpr u32 bmi1 = 1u << 3;
    const Vm vm = must(kvm().create_vm());
    Vcpu vcpu = must(vm.create_vcpu(VcpuId(0)));
    CpuidList leaves = must(kvm().supported_cpuid());
    const auto is_7 = [](const CpuidEntry2& leaf) { return leaf.function == 7 && leaf.index == 0; };
    const auto leaf = std::ranges::find_if(leaves, is_7);
    if (leaf == leaves.end() || !(leaf->ebx & bmi1)) {
        GTEST_SKIP() << "needs a feature to take away: this KVM supports no BMI1";
    }
    leaf->ebx &= ~bmi1;
    ASSERT_OK(vcpu.set_cpuid2(leaves));
    const CpuidList now = must(vcpu.cpuid2());
    const auto read = std::ranges::find_if(now, is_7);
    ASSERT_NE(read, now.end());
    if (read->ebx & bmi1) {
        GTEST_SKIP() << "needs leaf 7 as it was set: this KVM puts back what the processor has";
    }
    EXPECT_EQ(read->ebx, leaf->ebx);
}

TEST_F(Leaves, AreE2bigWhereTheListIsOneTooShort) {
    Guest guest(kvm());
    const std::size_t count = must(guest.vcpu().cpuid2()).size();
    ASSERT_GT(count, 1u);
    CpuidList list = must(CpuidList::with_capacity(count - 1));
    list.header().nent = static_cast<u32>(count - 1);
    EXPECT_ERRNO(call(guest.vcpu().fd(), op::x86_64::get_cpuid2, list.header()), E2BIG);
}

TEST_F(Interrupts, RoutingNeedsAnIrqchip) {
    REQUIRE_CAP(kvm(), cap::irq_routing);
    const Vm vm = must(kvm().create_vm());
    const GsiRouting none = must(GsiRouting::with_capacity(0));
    EXPECT_FALSE(vm.set_gsi_routing(none));
    ASSERT_OK(vm.create_irqchip());
    EXPECT_OK(vm.set_gsi_routing(none));
}

TEST_F(Interrupts, AreRoutedToChipsAndToMessagesInOneTable) {
    REQUIRE_CAP(kvm(), cap::irq_routing);
    const Vm vm = must(kvm().create_vm());
    ASSERT_OK(vm.create_irqchip());
    IrqRoutingEntry pin = {}, message = {};
    pin.gsi = 1;
    pin.type = IrqRoutingType::irqchip;
    pin.u.irqchip = {static_cast<u32>(IrqchipId::ioapic), 3};
    message.gsi = 2;
    message.type = IrqRoutingType::msi;
    message.u.msi = {0xfee0'0000, 0, 0x45, 0};
    EXPECT_OK(vm.set_gsi_routing(must(GsiRouting::from(std::array{pin}))));
    EXPECT_OK(vm.set_gsi_routing(must(GsiRouting::from(std::array{message}))));
    EXPECT_OK(vm.set_gsi_routing(must(GsiRouting::from(std::array{pin, message}))));
}

TEST_F(Interrupts, TheCommandRegisterOfALocalApicIsReadBack) {
    REQUIRE_CAP(kvm(), cap::irqchip);
    Guest guest(kvm(), [](Vm& vm) { must(vm.create_irqchip()); });
    LapicState lapic = must(guest.vcpu().lapic());
    const u32 set = 0x4022, destination = 0x0100'0000;
    std::memcpy(lapic.regs + 0x300, &set, sizeof set);
    std::memcpy(lapic.regs + 0x310, &destination, sizeof destination);
    ASSERT_OK(guest.vcpu().set_lapic(lapic));
    EXPECT_EQ(bytes_of(must(guest.vcpu().lapic()).regs), bytes_of(lapic.regs));
}

TEST_F(EnablingX86, AnMsrFilterThatDeniesAllNeedsARange) {
    REQUIRE_CAP(kvm(), cap::x86_msr_filter);
    const Vm vm = must(kvm().create_vm());
    EXPECT_OK(vm.set_msr_filter(MsrFilterDefault::allow, {}));
    EXPECT_ERRNO(vm.set_msr_filter(MsrFilterDefault::deny, {}), EINVAL);
    const std::vector<u8> bits(8);
    const MsrRange range{MsrFilterFlag::read, 0, 1, bits};
    EXPECT_OK(vm.set_msr_filter(MsrFilterDefault::deny, {&range, 1}));
}

}  // namespace
}  // namespace kvm::test
