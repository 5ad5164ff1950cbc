// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "script.hpp"

#include <support/result.hpp>
#include <type_traits>

namespace kvm::test {
namespace {

class VmTest : public WithKvm {};

TEST_F(VmTest, OfTheDefaultTypeIsMadeByDefault) {
    EXPECT_OK(kvm().create_vm());
    EXPECT_OK(kvm().create_vm(VmType()));
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
    Guest guest(kvm());
    guest.load(guests::stop());
    {
        const Vm gone = std::move(guest.vm());
    }
    guest.run_to_stop();
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
    EXPECT_OK(moved.check(cap::irqchip));
}

TEST_F(VmTest, OrdersOfTheSystemAreNoneOfAVm) {
    const Vm vm = must(kvm().create_vm());
    EXPECT_FALSE(call(vm.fd(), op::get_api_version)) << "ENOTTY, or on arm64 EINVAL";
    EXPECT_ERRNO(call(kvm().fd(), op::create_vcpu, 0), EINVAL);
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
    EXPECT_FALSE(must(vm.has_device(DeviceType::xics))) << "another architecture's";
    EXPECT_ERRNO(vm.create_device(DeviceType::xics), ENODEV);
    EXPECT_ERRNO(vm.create_device(DeviceType(999)), ENODEV);
}

}  // namespace
}  // namespace kvm::test
