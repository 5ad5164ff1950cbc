// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <support/guest.hpp>
#include <thread>

namespace kvm::test {
namespace {

class VmX86 : public WithKvm {};

TEST_F(VmX86, OfEveryTypeThatTheCapabilityNamesCanBeMade) {
    const Flags<VmTypeBit> types = must(kvm().check(cap::vm_types));
    for (u32 type = 0; type < 32; ++type) {
        SCOPED_TRACE(type);
        if (types.bits() >> type & 1) {
            EXPECT_OK(kvm().create_vm(VmType(type)));
        }
    }
}

TEST_F(VmX86, EnablesCapabilitiesByTypeAndByNumber) {
    Vm vm = must(kvm().create_vm());
    REQUIRE_CAP(vm, cap::enable_cap_vm);
    REQUIRE_CAP(vm, cap::x2apic_api);
    EXPECT_OK(vm.enable(cap::x2apic_api, X2apicApiFlag::use_32bit_ids));
    EXPECT_OK(vm.enable_cap(cap::x2apic_api.number, 3));
    EXPECT_ERRNO(vm.enable(cap::x2apic_api, Flags<X2apicApiFlag>(1u << 30)), EINVAL);
    const auto unknown = vm.enable_cap(9999);
    ASSERT_ERRNO(unknown, EINVAL);
    EXPECT_STREQ(unknown.error().what, "KVM_ENABLE_CAP");
}

TEST_F(VmX86, TheClockGoesOnAndMayBeSet) {
    Vm vm = must(kvm().create_vm());
    REQUIRE_CAP(vm, cap::adjust_clock);
    const ClockData first = must(vm.clock());
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_GE(must(vm.clock()).clock, first.clock + 1'000'000);
    ClockData hour = {};
    hour.clock = 3'600'000'000'000;
    ASSERT_OK(vm.set_clock(hour));
    const u64 now = must(vm.clock()).clock;
    EXPECT_GE(now, hour.clock);
    EXPECT_LT(now, hour.clock + 60'000'000'000);
    hour.flags = 1u << 31;
    EXPECT_ERRNO(vm.set_clock(hour), EINVAL);
}

TEST_F(VmX86, TheTscFrequencyOfNewVcpusMayBeSet) {
    Vm vm = must(kvm().create_vm());
    REQUIRE_CAP(vm, cap::vm_tsc_control);
    const u32 khz = must(vm.tsc_khz());
    EXPECT_GT(khz, 100'000u);
    ASSERT_OK(vm.set_tsc_khz(khz));
    EXPECT_EQ(must(vm.tsc_khz()), khz);
    const Vcpu vcpu = must(vm.create_vcpu(VcpuId(0)));
    EXPECT_EQ(must(vcpu.tsc_khz()), khz);
    EXPECT_ERRNO(vm.set_tsc_khz(khz), EINVAL);
}

}  // namespace
}  // namespace kvm::test
