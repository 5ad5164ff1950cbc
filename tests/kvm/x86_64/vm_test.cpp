// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "script.hpp"

#include <support/result.hpp>
#include <thread>
#include <type_traits>

namespace kvm::test {
namespace {

class VmTest : public WithKvm {};

TEST_F(VmTest, OfTheDefaultTypeIsMadeByDefault) {
    EXPECT_OK(kvm().create_vm());
    EXPECT_OK(kvm().create_vm(VmType::default_vm));
}

TEST_F(VmTest, OfEveryTypeThatTheCapabilityNamesCanBeMade) {
    const Flags<VmTypeBit> types = must(kvm().check(cap::vm_types));
    for (u32 type = 0; type < 32; ++type) {
        SCOPED_TRACE(type);
        if (types.bits() >> type & 1) {
            EXPECT_OK(kvm().create_vm(VmType(type)));
        }
    }
}

TEST_F(VmTest, OfATypeThatThereIsNotIsRefused) {
    const auto vm = kvm().create_vm(VmType(77));
    ASSERT_ERRNO(vm, EINVAL);
    EXPECT_STREQ(vm.error().what, "KVM_CREATE_VM");
}

TEST_F(VmTest, IsAdoptedFromADescriptor) {
    Vm first = must(kvm().create_vm());
    Vm second = must(kvm().adopt_vm(must(first.fd().duplicate())));
    EXPECT_EQ(first.vcpu_mmap_size(), second.vcpu_mmap_size());
    const Vcpu vcpu = must(first.create_vcpu(VcpuId(0)));
    EXPECT_ERRNO(second.create_vcpu(VcpuId(0)), EEXIST) << "they are one VM";
    EXPECT_OK(second.create_vcpu(VcpuId(1)));
}

TEST_F(VmTest, LivesAsLongAsItsVcpu) {
    std::optional<Vm> vm(must(kvm().create_vm()));
    alignas(4096) static std::byte memory[8192];
    must(vm->add_memory(Slot(0), 0_gpa, memory));
    memory[0] = std::byte(0xf4);  // hlt
    Vcpu vcpu = must(vm->create_vcpu(VcpuId(0)));
    Sregs sregs = must(vcpu.sregs());
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    must(vcpu.set_sregs(sregs));
    Regs regs = {};
    regs.rflags = 2;
    must(vcpu.set_regs(regs));
    vm.reset();
    EXPECT_EQ(must(vcpu.run()).reason(), ExitReason::hlt);
}

TEST_F(VmTest, GivesEachVcpuIdOnce) {
    Vm vm = must(kvm().create_vm());
    const Vcpu vcpu = must(vm.create_vcpu(VcpuId(3)));
    const auto again = vm.create_vcpu(VcpuId(3));
    ASSERT_ERRNO(again, EEXIST);
    EXPECT_EQ(again.error().detail, 3u);
    const u32 most = static_cast<u32>(must(vm.check(cap::max_vcpu_id)));
    const auto beyond = vm.create_vcpu(VcpuId(most));
    ASSERT_ERRNO(beyond, EINVAL);
    EXPECT_EQ(beyond.error().detail, most);
}

TEST_F(VmTest, CapabilitiesAnswerInTheirOwnTypes) {
    Vm vm = must(kvm().create_vm());
    static_assert(std::is_same_v<decltype(vm.check(cap::irqchip)), Result<bool>>);
    static_assert(std::is_same_v<decltype(vm.check(cap::nr_memslots)), Result<int>>);
    static_assert(std::is_same_v<decltype(vm.check(cap::adjust_clock)), Result<Flags<ClockFlag>>>);
    EXPECT_TRUE(must(vm.check(cap::user_memory)));
    EXPECT_GE(must(vm.check(cap::nr_memslots)), 32);
    EXPECT_EQ(must(vm.check_extension(cap::nr_memslots.number)), must(vm.check(cap::nr_memslots)));
    EXPECT_EQ(must(vm.check_extension(9999)), 0) << "a capability that nobody knows";
}

TEST_F(VmTest, AMovedOneAnswersEbadfAndNeverAPlausibleNumber) {
    Vm vm = must(kvm().create_vm());
    const Vm moved = std::move(vm);
    EXPECT_ERRNO(vm.check(cap::irqchip), EBADF);      // NOLINT(bugprone-use-after-move)
    EXPECT_ERRNO(vm.check(cap::nr_memslots), EBADF);  // NOLINT(bugprone-use-after-move)
    EXPECT_ERRNO(vm.check(cap::adjust_clock), EBADF);
    EXPECT_ERRNO(vm.check_extension(10), EBADF);
    EXPECT_ERRNO(vm.create_vcpu(VcpuId(0)), EBADF);
    EXPECT_ERRNO(vm.has_device(DeviceType::vfio), EBADF);
    EXPECT_ERRNO(vm.irq_line_status(Gsi(0), Level::low), EBADF);
    EXPECT_ERRNO(vm.clock(), EBADF);
    EXPECT_OK(moved.check(cap::irqchip));
}

TEST_F(VmTest, OrdersOfTheSystemAreNoneOfAVm) {
    const Vm vm = must(kvm().create_vm());
    EXPECT_ERRNO(call(vm.fd(), op::get_api_version), ENOTTY);
    EXPECT_ERRNO(call(kvm().fd(), op::create_vcpu, 0), EINVAL);
}

TEST_F(VmTest, EnablesCapabilitiesByTypeAndByNumber) {
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

TEST_F(VmTest, TheClockGoesOnAndMayBeSet) {
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

TEST_F(VmTest, TheTscFrequencyOfNewVcpusMayBeSet) {
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

// cap::device_ctrl is not asked: x86_64 had the ioctl for years before it said so.
TEST_F(VmTest, ADeviceIsMadeAndItsAttributesAnswer) {
    Vm vm = must(kvm().create_vm());
    if (!must(vm.has_device(DeviceType::vfio))) {
        EXPECT_ERRNO(vm.create_device(DeviceType::vfio), ENODEV);
        GTEST_SKIP() << "needs KVM's VFIO device, which this KVM lacks";
    }
    const Device device = must(vm.create_device(DeviceType::vfio));
    EXPECT_TRUE(must(device.has_attr(vfio::file_add)));
    EXPECT_FALSE(must(device.has_attr(Attr<u32>{77, 0})));
    EXPECT_ERRNO(device.set_attr(vfio::file_add, -1), EBADF);
    EXPECT_ERRNO(device.set_attr(Attr<u32>{77, 0}, 0u), ENXIO);
    EXPECT_ERRNO(device.attr(vfio::file_add), EPERM) << "this device has nothing to read";
    const auto second = vm.create_device(DeviceType::vfio);
    ASSERT_ERRNO(second, EBUSY);
    EXPECT_EQ(second.error().detail, static_cast<u32>(DeviceType::vfio));
}

TEST_F(VmTest, ADeviceThatThereIsNotIsNotFound) {
    Vm vm = must(kvm().create_vm());
    EXPECT_FALSE(must(vm.has_device(DeviceType(999))));
    EXPECT_FALSE(must(vm.has_device(DeviceType::arm_vgic_v3)));
    EXPECT_ERRNO(vm.create_device(DeviceType(999)), ENODEV);
}

}  // namespace
}  // namespace kvm::test
