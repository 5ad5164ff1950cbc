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

TEST(NotKvm, AVcpuOfAnotherFileFailsToRunAndUnmapsItself) {
    REQUIRE_KERNELS_IOCTLS();
    auto vcpu = Vcpu::adopt(memory_file(3 * 4096), 3 * 4096);
    ASSERT_TRUE(vcpu);
    EXPECT_EQ(vcpu->run().error(), (Error{"KVM_RUN", ENOTTY, 0}));
    EXPECT_EQ(vcpu->mp_state().error(), (Error{"KVM_GET_MP_STATE", ENOTTY, 0}));
    EXPECT_EQ(vcpu->reg_list().error().what, std::string("KVM_GET_REG_LIST"));

    Vcpu moved = std::move(*vcpu);
    EXPECT_EQ(moved.raw().exit_reason, 0u) << "the mapping moved along";
    auto other = Vcpu::adopt(memory_file(3 * 4096), 3 * 4096);
    ASSERT_TRUE(other);
    *other = std::move(moved);
    EXPECT_EQ(other->raw().exit_reason, 0u);
}

TEST(NotKvm, AVcpuOfWhatCannotBeMappedIsAnError) {
    auto event = EventFd::create();
    ASSERT_TRUE(event);
    const int number = event->fd().duplicate().value().release();
    const auto vcpu = Vcpu::adopt(Fd(number), 3 * 4096);
    ASSERT_FALSE(vcpu);
    EXPECT_EQ(vcpu.error(), (Error{"mmap(vcpu)", ENODEV, 0}));
    EXPECT_EQ(::fcntl(number, F_GETFD), -1) << "the descriptor was taken over, so it is closed";
}

TEST(NotKvm, ACallOnAClosedDescriptorIsEbadf) {
    REQUIRE_KERNELS_IOCTLS();
    const auto version = call(FdRef(-1), op::get_api_version);
    ASSERT_FALSE(version);
    EXPECT_EQ(version.error(), (Error{"KVM_GET_API_VERSION", EBADF, 0}));
}

/// A coalesced ring over a file: whatever the "kernel" writes into it.
struct Ring {
    Ring() : file(memory_file(3 * 4096)) {
        page = static_cast<std::uint32_t*>(
            ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file.number(), 2 * 4096));
        for (std::uint32_t i = 0; i < 170; ++i) {
            const CoalescedMmio entry{0x1000 + i, 4, 0, {static_cast<u8>(i)}};
            std::memcpy(page + 2 + std::size_t{i} * 6, &entry, sizeof entry);
        }
    }
    ~Ring() { ::munmap(page, 4096); }
    void set(std::uint32_t first, std::uint32_t last) const { page[0] = first, page[1] = last; }

    Fd file;
    std::uint32_t* page;
};

TEST(CoalescedRing, GivesTheOldestFirstAndWrapsAround) {
    const Ring ring;
    auto vcpu = Vcpu::adopt(ring.file.duplicate().value(), 3 * 4096);
    ASSERT_TRUE(vcpu);
    auto queue = CoalescedRing::map(*vcpu, 2);
    ASSERT_TRUE(queue);
    CoalescedMmio entry;
    EXPECT_FALSE(queue->pop(entry));
    ring.set(168, 1);
    std::vector<std::uint64_t> seen;
    while (queue->pop(entry)) {
        seen.push_back(entry.phys_addr);
    }
    EXPECT_EQ(seen, (std::vector<std::uint64_t>{0x1000 + 168, 0x1000 + 169, 0x1000}));
    EXPECT_EQ(ring.page[0], 1u) << "what was taken is free again";
}

TEST(CoalescedRing, ReadsNothingOutsideItselfWhateverItHolds) {
    const Ring ring;
    auto vcpu = Vcpu::adopt(ring.file.duplicate().value(), 3 * 4096);
    ASSERT_TRUE(vcpu);
    auto queue = CoalescedRing::map(*vcpu, 2);
    ASSERT_TRUE(queue);
    CoalescedMmio entry;
    for (const std::uint32_t first : {170u, 171u, 4096u, ~0u}) {
        ring.set(first, 3);
        EXPECT_FALSE(queue->pop(entry)) << first;
    }
}

TEST(CoalescedRing, HasOneOwnerAtATimeWhicheverVcpuItIsMappedThrough) {
    const Ring ring;
    auto first = Vcpu::adopt(ring.file.duplicate().value(), 3 * 4096);
    auto second = Vcpu::adopt(ring.file.duplicate().value(), 3 * 4096);
    ASSERT_TRUE(first && second);
    {
        auto queue = CoalescedRing::map(*first, 2);
        ASSERT_TRUE(queue);
        EXPECT_EQ(CoalescedRing::map(*first, 2).error(), (Error{"mmap(coalesced ring)", EBUSY, 0}));
        EXPECT_EQ(CoalescedRing::map(*second, 2).error().code, EBUSY);
        auto moved = std::move(*queue);
        EXPECT_EQ(CoalescedRing::map(*second, 2).error().code, EBUSY) << "it only moved";
    }
    EXPECT_TRUE(CoalescedRing::map(*second, 2)) << "the owner is gone";
}

TEST(CoalescedRing, IsNotMappedFromANonsensicalPage) {
    auto vcpu = Vcpu::adopt(memory_file(3 * 4096), 3 * 4096);
    ASSERT_TRUE(vcpu);
    EXPECT_EQ(CoalescedRing::map(*vcpu, 0).error().code, EINVAL);
    EXPECT_EQ(CoalescedRing::map(*vcpu, -1).error().code, EINVAL);
    EXPECT_EQ(CoalescedRing::map(*vcpu, 3).error().code, EINVAL) << "beyond the vCPU's mapping";
}

}  // namespace
}  // namespace kvm::test
