// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Descriptors that are no KVM: every call is an Error that names itself, never a plausible number.

#include "kernels_ioctls.hpp"
#include "print.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <kvm/kvm.hpp>
#include <sys/mman.h>
#include <vector>

namespace kvm::test {
namespace {

Fd memory_file(std::size_t bytes) {
    const int fd = ::memfd_create("kvmxx-test", MFD_CLOEXEC);
    if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
        ADD_FAILURE() << "memfd_create: " << std::strerror(errno);
    }
    return Fd(fd);
}

TEST(NotKvm, OpeningAMissingDeviceSaysSo) {
    const auto kvm = Kvm::open("/dev/there-is-no-such-device");
    ASSERT_FALSE(kvm);
    EXPECT_EQ(kvm.error(), (Error{"open /dev/kvm", ENOENT, 0}));
}

TEST(NotKvm, AnotherDeviceIsNotTakenForIt) {
    REQUIRE_KERNELS_IOCTLS();
    const auto kvm = Kvm::open("/dev/null");
    ASSERT_FALSE(kvm);
    EXPECT_EQ(kvm.error(), (Error{"KVM_GET_API_VERSION", ENOTTY, 0}));
}

TEST(NotKvm, AdoptingAnotherDescriptorClosesIt) {
    Fd file = memory_file(4096);
    const int number = file.number();
    EXPECT_FALSE(Kvm::adopt(std::move(file)));
    EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

TEST(NotKvm, AFailedQuestionIsNeverAnAnswer) {
    REQUIRE_KERNELS_IOCTLS();
    const Vm vm(memory_file(4096), 4096);
    const auto count = vm.check(cap::nr_memslots);
    ASSERT_FALSE(count);
    EXPECT_EQ(count.error(), (Error{"KVM_CHECK_EXTENSION", ENOTTY, 0}));
    EXPECT_FALSE(vm.check(cap::irqchip));
    EXPECT_FALSE(vm.check(cap::xen_hvm));
    EXPECT_FALSE(vm.check_extension(9999));
}

TEST(NotKvm, EveryVmCallNamesItself) {
    REQUIRE_KERNELS_IOCTLS();
    const Vm vm(memory_file(4096), 4096);
    std::vector<std::byte> memory(4096);
    EXPECT_EQ(vm.create_vcpu(VcpuId(3)).error(), (Error{"KVM_CREATE_VCPU", ENOTTY, 3}));
    EXPECT_EQ(vm.add_memory(Slot(7), 0_gpa, memory).error(),
              (Error{"KVM_SET_USER_MEMORY_REGION", ENOTTY, 7}));
    EXPECT_EQ(vm.create_irqchip().error().what, std::string("KVM_CREATE_IRQCHIP"));
    EXPECT_EQ(vm.irq_line(Gsi(4), Level::high).error().what, std::string("KVM_IRQ_LINE"));
    EXPECT_EQ(vm.create_device(DeviceType::vfio).error(), (Error{"KVM_CREATE_DEVICE", ENOTTY, 4}));
    EXPECT_EQ(vm.has_device(DeviceType::vfio).error().code, ENOTTY);
    EXPECT_EQ(vm.enable(cap::split_irqchip, 24).error().what, std::string("KVM_ENABLE_CAP"));
    EXPECT_EQ(vm.stats().error().what, std::string("KVM_GET_STATS_FD"));
}

TEST(NotKvm, AVcpuIsNotAdoptedFromAnotherFileWhichIsClosed) {
    REQUIRE_KERNELS_IOCTLS();
    Fd file = memory_file(3 * 4096);
    const int number = file.number();
    const auto vcpu = Vcpu::adopt(std::move(file), 3 * 4096);
    ASSERT_FALSE(vcpu);
    EXPECT_EQ(vcpu.error(), (Error{"KVM_GET_MP_STATE", ENOTTY, 0}));
    EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

TEST(NotKvm, ACallOnAClosedDescriptorIsEbadf) {
    REQUIRE_KERNELS_IOCTLS();
    const auto version = call(FdRef(-1), op::get_api_version);
    ASSERT_FALSE(version);
    EXPECT_EQ(version.error(), (Error{"KVM_GET_API_VERSION", EBADF, 0}));
}

}  // namespace
}  // namespace kvm::test
