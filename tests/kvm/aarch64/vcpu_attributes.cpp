// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The attributes of vCPUs and VMs, and what came after Linux 6.1.

#include <algorithm>
#include <cerrno>
#include <kvm/aarch64/gic.hpp>
#include <support/guest.hpp>

namespace kvm::test {
namespace {

/// A GICv3 without vCPUs so far.
Device create_gic(const Vm& vm) {
    Device gic = must(vm.create_device(DeviceType::arm_vgic_v3));
    must(gic.set_attr(vgic::v3_addr_dist, layout::dist));
    must(gic.set_attr(vgic::v3_addr_redist, layout::redist));
    return gic;
}

class PmuArm : public WithKvm {
protected:
    void SetUp() override {
        WithKvm::SetUp();
        if (!IsSkipped()) {
            REQUIRE_CAP(kvm(), cap::arm_pmu_v3);
        }
    }
};

TEST_F(PmuArm, IsSetUpInItsOrder) {
    Guest guest(kvm(), {.features = {VcpuFeature::pmu_v3}});
    Vcpu& vcpu = guest.vcpu();
    EXPECT_TRUE(must(vcpu.has_attr(pmu_v3_init)));
    EXPECT_TRUE(must(vcpu.has_attr(pmu_v3_irq)));
    EXPECT_ERRNO(vcpu.set_attr(pmu_v3_irq, 23), EINVAL) << "there is no GIC";
    const Device gic = create_gic(guest.vm());
    must(vgic::command(gic, vgic::ctrl_init));
    EXPECT_ERRNO(vcpu.attr(pmu_v3_irq), ENXIO) << "none so far";
    EXPECT_ERRNO(vcpu.init_pmu(), ENXIO) << "no interrupt";
    EXPECT_ERRNO(vcpu.set_attr(pmu_v3_irq, 3), EINVAL) << "neither a PPI nor an SPI";
    ASSERT_OK(vcpu.set_attr(pmu_v3_irq, 23));
    EXPECT_EQ(must(vcpu.attr(pmu_v3_irq)), 23);
    EXPECT_ERRNO(vcpu.set_attr(pmu_v3_irq, 23), EBUSY);
    ASSERT_OK(vcpu.init_pmu());
    EXPECT_ERRNO(vcpu.init_pmu(), EBUSY);
    guest.load(guests::halt());
    guest.run_to<exit::SystemEvent>();
}

TEST_F(PmuArm, FiltersEvents) {
    Guest guest(kvm(), {.features = {VcpuFeature::pmu_v3}});
    if (!must(guest.vcpu().has_attr(pmu_v3_filter))) {
        GTEST_SKIP() << "needs KVM_ARM_VCPU_PMU_V3_FILTER, which this KVM lacks";
    }
    ASSERT_OK(guest.vcpu().set_attr(pmu_v3_filter, {0x11, 1, PmuEventAction::deny, {}}));
    EXPECT_ERRNO(guest.vcpu().set_attr(pmu_v3_filter, {0xffff, 2, PmuEventAction::deny, {}}),
                 EINVAL);
    EXPECT_ERRNO(guest.vcpu().set_attr(pmu_v3_filter, {0x11, 1, PmuEventAction(7), {}}), EINVAL);
}

TEST_F(PmuArm, APmuOfTheHostIsChosenByANumberThatExists) {
    Guest guest(kvm(), {.features = {VcpuFeature::pmu_v3}});
    if (!must(guest.vcpu().has_attr(pmu_v3_set_pmu))) {
        GTEST_SKIP() << "needs KVM_ARM_VCPU_PMU_V3_SET_PMU, which this KVM lacks";
    }
    EXPECT_ERRNO(guest.vcpu().set_attr(pmu_v3_set_pmu, 0x7fffffff), ENXIO);
}

TEST_F(PmuArm, HasAsManyCountersAsItIsTold) {
    Guest guest(kvm(), {.features = {VcpuFeature::pmu_v3}});
    if (!must(guest.vcpu().has_attr(pmu_v3_nr_counters))) {
        GTEST_SKIP() << "needs KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS, which this KVM lacks";
    }
    EXPECT_OK(guest.vcpu().set_attr(pmu_v3_nr_counters, 0));
    EXPECT_ERRNO(guest.vcpu().set_attr(pmu_v3_nr_counters, 1000), EINVAL);
}

TEST_F(PmuArm, WithoutTheFeatureThereIsNone) {
    Guest guest(kvm());
    EXPECT_FALSE(must(guest.vcpu().has_attr(pmu_v3_init)));
    EXPECT_ERRNO(guest.vcpu().init_pmu(), ENODEV);
}

class AttrArm : public WithKvm {};

TEST_F(AttrArm, TimersHavePrivateInterrupts) {
    Guest guest(kvm());
    Vcpu& vcpu = guest.vcpu();
    EXPECT_TRUE(must(vcpu.has_attr(timer_irq_vtimer)));
    EXPECT_EQ(must(vcpu.attr(timer_irq_vtimer)), 27);
    EXPECT_EQ(must(vcpu.attr(timer_irq_ptimer)), 30);
    EXPECT_ERRNO(vcpu.set_attr(timer_irq_vtimer, 20), EINVAL) << "there is no GIC";
    const Device gic = create_gic(guest.vm());
    must(vgic::command(gic, vgic::ctrl_init));
    EXPECT_ERRNO(vcpu.set_attr(timer_irq_vtimer, 40), EINVAL) << "not a private one";
    ASSERT_OK(vcpu.set_attr(timer_irq_vtimer, 20));
    EXPECT_EQ(must(vcpu.attr(timer_irq_vtimer)), 20);
}

TEST_F(AttrArm, StolenTimeIsWhereItIsTold) {
    REQUIRE_CAP(kvm(), cap::steal_time);
    Guest guest(kvm());
    ASSERT_TRUE(must(guest.vcpu().has_attr(pvtime_ipa)));
    EXPECT_ERRNO(guest.vcpu().set_attr(pvtime_ipa, layout::data + 1), EINVAL) << "64 bytes";
    EXPECT_ERRNO(guest.vcpu().set_attr(pvtime_ipa, layout::mmio), EINVAL) << "no memory";
    ASSERT_OK(guest.vcpu().set_attr(pvtime_ipa, layout::data));
    EXPECT_EQ(must(guest.vcpu().attr(pvtime_ipa)), layout::data);
    EXPECT_ERRNO(guest.vcpu().set_attr(pvtime_ipa, layout::data + 64), EEXIST);
    guest.load(guests::firmware());
    guest.set(x(9), layout::mmio);
    guest.set(x(0), 0xc5000021);  // PV_TIME_ST
    EXPECT_EQ(guest.run_to_write(layout::mmio), layout::data);
}

TEST_F(AttrArm, StolenTimeNeedsTheHostsAccounts) {
    Guest guest(kvm());
    EXPECT_EQ(must(guest.vcpu().has_attr(pvtime_ipa)), must(kvm().check(cap::steal_time)));
}

TEST_F(AttrArm, CountersAreShifted) {
    Guest guest(kvm());
    REQUIRE_CAP(guest.vm(), cap::counter_offset);
    ASSERT_OK(guest.vm().set_counter_offset(0));
    guest.load(guests::halt());
    guest.run_to<exit::SystemEvent>();
    EXPECT_OK(guest.vm().set_counter_offset(1000));
}

TEST_F(AttrArm, CallsAreFiltered) {
    Guest guest(kvm());
    if (!must(guest.vm().has_attr(smccc_filter))) {
        GTEST_SKIP() << "needs KVM_ARM_VM_SMCCC_FILTER, which this KVM lacks";
    }
    ASSERT_OK(guest.vm().set_attr(smccc_filter, {0xc6000000, 1, SmcccAction::fwd_to_user, {}}));
    EXPECT_ERRNO(guest.vm().set_attr(smccc_filter, {0xc6000000, 1, SmcccAction::deny, {}}), EEXIST);
    guest.load(guests::firmware());
    guest.set(x(0), 0xc6000000);
    EXPECT_EQ(guest.run_to<exit::Hypercall>().nr, 0xc6000000u);
}

TEST_F(AttrArm, FeatureRegistersTellWhichBitsAreWritable) {
    Guest guest(kvm());
    REQUIRE_CAP(guest.vm(), cap::arm_supported_reg_mask_ranges);
    std::vector<u64> masks(reg_mask_count);
    ASSERT_OK(guest.vm().reg_writable_masks(std::span<u64, reg_mask_count>(masks)));
    EXPECT_TRUE(std::any_of(masks.begin(), masks.end(), [](u64 mask) { return mask != 0; }));
}

TEST_F(AttrArm, WithoutAGicTheVmmHasTheTimersLine) {
    REQUIRE_CAP(kvm(), cap::arm_user_irq);
    Guest guest(kvm());
    guest.load(guests::spin());
    guest.set(timer_cval, 0);
    guest.set(timer_ctl, 1);
    const Exit exit = guest.run();
    EXPECT_EQ(exit.reason(), ExitReason::intr) << "the line has risen";
    EXPECT_TRUE(
        Flags<DeviceIrq>(guest.vcpu().sync_regs().device_irq_level).has(DeviceIrq::el1_vtimer));
}

TEST_F(AttrArm, TheOldWayToPlaceAGicNeedsOne) {
    Guest guest(kvm());
    REQUIRE_CAP(kvm(), cap::arm_set_device_addr);
    EXPECT_ERRNO(guest.vm().set_device_addr(7, 0, Gpa(layout::dist)), ENODEV) << "no such device";
}

TEST_F(AttrArm, PointerAuthenticationIsBothOrNeither) {
    REQUIRE_CAP(kvm(), cap::arm_ptrauth_address);
    const Vm vm = must(kvm().create_vm());
    Vcpu vcpu = must(vm.create_vcpu(VcpuId(0)));
    EXPECT_ERRNO(vcpu.init(vcpu_init(vm, {VcpuFeature::ptrauth_address})), EINVAL);
    EXPECT_OK(
        vcpu.init(vcpu_init(vm, {VcpuFeature::ptrauth_address, VcpuFeature::ptrauth_generic})));
}

}  // namespace
}  // namespace kvm::test
