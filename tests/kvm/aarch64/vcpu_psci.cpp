// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// PSCI between vCPUs, and KVM's hypercalls as the VMM grants them.

#include <cerrno>
#include <support/guest.hpp>

KVMXX_GUEST(started)

namespace kvm::test {
namespace {

using namespace kvm::aarch64;

/// Calls of PSCI and their answers: Arm DEN 0022.
constexpr u64 cpu_on = 0xc4000003, affinity_info = 0xc4000004, system_suspend = 0xc400000e;
constexpr u64 success = 0, invalid_parameters = u64(-2), denied = u64(-3), already_on = u64(-4);
constexpr u64 is_on = 0, is_off = 1;

constexpr u64 entry = layout::code + 0x1000, context = layout::mmio + 0x100;

class PsciArm : public WithGuest {
protected:
    void SetUp() override {
        WithGuest::SetUp();
        if (!IsSkipped()) {
            other_ = must(guest().vm().create_vcpu(VcpuId(1)));
            must(other().init(vcpu_init(guest().vm(), {VcpuFeature::power_off})));
            guest().write(entry, guests::started());
        }
    }
    Vcpu& other() { return *other_; }
    /// The answer that the first vCPU gets to a call.
    u64 call(u64 function, u64 a = 0, u64 b = 0, u64 c = 0) {
        guest().load(guests::firmware());
        guest().set(x(0), function);
        guest().set(x(1), a);
        guest().set(x(2), b);
        guest().set(x(3), c);
        guest().set(x(9), layout::mmio);
        return guest().run_to_write(layout::mmio);
    }
    MpStateValue state() { return must(other().mp_state()).mp_state; }
    /// Runs the other vCPU, for so long at most; why that ended.
    Exit run_other(std::chrono::milliseconds limit = std::chrono::seconds(20)) {
        const Watchdog watchdog(limit);
        return must(other().run());
    }

private:
    std::optional<Vcpu> other_;
};

TEST_F(PsciArm, OneVcpuSwitchesAnotherOnWithItsEntryAndContext) {
    EXPECT_EQ(call(affinity_info, 1), is_off);
    EXPECT_EQ(call(cpu_on, 1, entry, context), success);
    EXPECT_EQ(state(), MpStateValue::runnable);
    EXPECT_EQ(must(other().one_reg(pc)), entry) << "before it has run";
    EXPECT_EQ(must(other().one_reg(x(0))), context);
    EXPECT_EQ(call(affinity_info, 1), is_on);
    EXPECT_EQ(call(cpu_on, 1, entry, context), already_on);
    EXPECT_EQ(guest().payload<exit::MmioWrite>(run_other()).address, Gpa(context));
    EXPECT_EQ(must(other().one_reg(x(1))), 0x80000001u) << "its own MPIDR";
}

TEST_F(PsciArm, AVcpuSwitchesItselfOffAndMayBeSwitchedOnAgain) {
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(call(cpu_on, 1, entry, context), success);
        EXPECT_EQ(guest().payload<exit::MmioWrite>(run_other()).address, Gpa(context));
        EXPECT_EQ(run_other(std::chrono::milliseconds(200)).reason(), ExitReason::intr)
            << "it is off, and waits";
        EXPECT_EQ(state(), MpStateValue::stopped);
        EXPECT_EQ(call(affinity_info, 1), is_off);
    }
}

TEST_F(PsciArm, AVcpuThatIsNoneIsAnInvalidParameter) {
    EXPECT_EQ(call(cpu_on, 7, entry, context), invalid_parameters);
    EXPECT_EQ(call(affinity_info, 7), invalid_parameters);
}

TEST_F(PsciArm, TheSystemIsSuspendedByTheLastVcpuThatIsOn) {
    REQUIRE_CAP(kvm(), cap::arm_system_suspend);
    must(guest().vm().enable(cap::arm_system_suspend));
    guest().load(guests::firmware());
    guest().set(x(0), system_suspend);
    guest().set(x(1), entry);
    guest().set(x(2), context);
    EXPECT_EQ(guest().run_to<exit::SystemEvent>().type, exit::SystemEventType::suspend);
    EXPECT_EQ(guest().get(x(0)), system_suspend) << "the VMM answers";
    guest().set(x(0), denied);
    guest().set(x(9), layout::mmio);
    EXPECT_EQ(guest().run_to_write(layout::mmio), denied);
}

TEST_F(PsciArm, ASuspendedVcpuWaitsForAnEventToWakeIt) {
    REQUIRE_CAP(kvm(), cap::arm_system_suspend);
    must(guest().vm().enable(cap::arm_system_suspend));
    guest().load(guests::halt());
    ASSERT_OK(guest().vcpu().set_mp_state({MpStateValue::suspended}));
    {
        const Watchdog watchdog(std::chrono::milliseconds(100));
        EXPECT_EQ(must(guest().vcpu().run()).reason(), ExitReason::intr);
    }
    EXPECT_EQ(must(guest().vcpu().mp_state()).mp_state, MpStateValue::suspended);
    ASSERT_OK(guest().vm().irq_line(cpu_line(0, 0), Level::high));
    EXPECT_EQ(guest().run_to<exit::SystemEvent>().type, exit::SystemEventType::wakeup);
    ASSERT_OK(guest().vcpu().set_mp_state({MpStateValue::runnable}));
    EXPECT_EQ(guest().run_to<exit::SystemEvent>().type, exit::SystemEventType::shutdown);
}

/// Calls that a bit of a bitmap grants: Documentation/virt/kvm/arm/hypercalls.rst.
struct Granted {
    RegId<u64> bitmap;
    u64 bit;
    u64 function;
    u64 argument;
};
constexpr u64 arch_features = 0x80000001, trng_version = 0x84000050, trng_features = 0x84000051,
              pv_time_features = 0xc5000020, vendor_features = 0x86000000;
const Granted granted[] = {
    {std_bmap, 1, trng_version, 0},
    {std_bmap, 1, trng_features, trng_version},
    {std_hyp_bmap, 1, arch_features, pv_time_features},
    {vendor_hyp_bmap, 1, vendor_features, 0},
    {vendor_hyp_bmap, 2, 0x86000001, 0},
};

class HypercallsArm : public WithGuest {};

TEST_F(HypercallsArm, AreThereUnlessTheirBitIsCleared) {
    constexpr u64 not_supported = u64(-1);
    for (const bool allowed : {true, false}) {
        for (const Granted& each : granted) {
            Guest own(kvm());
            const u64 all = own.get(each.bitmap);
            if ((all & each.bit) == 0) {
                continue;  // this kernel has no such call
            }
            if (!allowed) {
                own.set(each.bitmap, all & ~each.bit);
            }
            own.load(guests::firmware());
            own.set(x(0), each.function);
            own.set(x(1), each.argument);
            own.set(x(9), layout::mmio);
            const u64 answer = own.run_to_write(layout::mmio);
            EXPECT_EQ(answer != not_supported && answer != 0xffffffff, allowed)
                << std::hex << each.function << " answers " << answer;
        }
    }
}

TEST_F(HypercallsArm, TheirBitmapsRefuseBitsThatAreNoneAndChangesOnceAVcpuHasRun) {
    const RegId<u64> bitmaps[] = {std_bmap, std_hyp_bmap, vendor_hyp_bmap};
    for (const RegId<u64> bitmap : bitmaps) {
        EXPECT_NE(guest().get(bitmap), 0u);
        EXPECT_ERRNO(guest().vcpu().set_one_reg(bitmap, u64(1) << 63), EINVAL);
    }
    guest().load(guests::halt());
    guest().run_to<exit::SystemEvent>();
    for (const RegId<u64> bitmap : bitmaps) {
        const u64 all = guest().get(bitmap);
        EXPECT_ERRNO(guest().vcpu().set_one_reg(bitmap, all & ~u64(1)), EBUSY);
        EXPECT_OK(guest().vcpu().set_one_reg(bitmap, all)) << "the same is no change";
    }
}

}  // namespace
}  // namespace kvm::test
