// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What a vCPU's PMU counts, and what it does not where an event is denied.

#include "gic_guest.hpp"

KVMXX_GUEST(pmu)

namespace kvm::test {
namespace {

using namespace kvm::aarch64;

class PmuCounting : public WithGicV3 {
protected:
    void SetUp() override {
        WithGicV3::SetUp();
        if (!IsSkipped()) {
            REQUIRE_CAP(kvm(), cap::arm_pmu_v3);
            guest_.emplace(kvm(), GuestOptions{.features = {VcpuFeature::pmu_v3}});
        }
    }
    Guest& guest() { return guest_->guest(); }
    /// Ends the PMU's set-up; the cycles that the guest counts while it loops.
    u64 count() {
        guest_->make();
        must(guest().vcpu().set_attr(pmu_v3_irq, 23));
        must(guest().vcpu().init_pmu());
        guest().load(guests::pmu());
        guest().set(x(9), layout::mmio);
        guest().run_to_write(layout::mmio);
        return guest().run_to_write(layout::mmio);
    }

private:
    std::optional<GicGuest> guest_;
};

TEST_F(PmuCounting, CountsCycles) { EXPECT_GT(count(), 0u); }

TEST_F(PmuCounting, CountsNoEventThatIsDenied) {
    if (!must(guest().vcpu().has_attr(pmu_v3_filter))) {
        GTEST_SKIP() << "needs KVM_ARM_VCPU_PMU_V3_FILTER, which this KVM lacks";
    }
    constexpr u16 cpu_cycles = 0x11;
    must(guest().vcpu().set_attr(pmu_v3_filter, {cpu_cycles, 1, PmuEventAction::deny, {}}));
    EXPECT_EQ(count(), 0u);
}

}  // namespace
}  // namespace kvm::test
