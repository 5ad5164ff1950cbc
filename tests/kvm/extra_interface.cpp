// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Behaviours of the interface itself, without a guest's code, that other projects' tests ask for
// (docs/peer-tests.md).
#include <algorithm>
#include <cerrno>
#include <support/guest.hpp>
#include <support/pages.hpp>
#include <sys/mman.h>
#include <sys/resource.h>
#include <thread>
#include <vector>

namespace kvm::test {
namespace {

class Closed : public WithKvm {};
class Vcpus : public WithKvm {};
class Slots : public WithKvm {};
class Enabling : public WithKvm {};
class RawDoor : public WithKvm {};

TEST_F(Closed, AKvmAnswersEbadfToEveryCall) {
    Kvm old = must(Kvm::open());
    const Kvm moved = std::move(old);
    EXPECT_ERRNO(old.api_version(), EBADF);  // NOLINT(bugprone-use-after-move)
    EXPECT_ERRNO(old.check(cap::nr_vcpus), EBADF);
    EXPECT_ERRNO(old.check(cap::max_vcpus), EBADF);
    EXPECT_ERRNO(old.check(cap::nr_memslots), EBADF);
    EXPECT_ERRNO(old.check_extension(0), EBADF);
    EXPECT_ERRNO(old.vcpu_mmap_size(), EBADF);
    EXPECT_ERRNO(old.create_vm(), EBADF);
    EXPECT_OK(moved.api_version());
}

TEST_F(Closed, AVmAnswersEbadfToEveryCall) {
    Vm old = must(kvm().create_vm());
    const Vm moved = std::move(old);
    const EventFd event = must(EventFd::create());
    Pages pages(1);
    EXPECT_ERRNO(old.set_user_memory_region({}), EBADF);  // NOLINT(bugprone-use-after-move)
    EXPECT_ERRNO(old.add_memory(Slot(0), 0_gpa, pages.bytes()), EBADF);
    EXPECT_ERRNO(old.create_irqchip(), EBADF);
    EXPECT_ERRNO(old.signal_msi(Msi{}), EBADF);
    EXPECT_ERRNO(old.set_gsi_routing(must(GsiRouting::with_capacity(0))), EBADF);
    EXPECT_ERRNO(old.add_ioeventfd(event, 0_gpa, Datamatch::length(1)), EBADF);
    EXPECT_ERRNO(old.remove_ioeventfd(event, 0_gpa, Datamatch::length(1)), EBADF);
    EXPECT_ERRNO(old.add_irqfd(event, Gsi(0)), EBADF);
    EXPECT_ERRNO(old.remove_irqfd(event, Gsi(0)), EBADF);
    EXPECT_ERRNO(old.irq_line(Gsi(0), Level::high), EBADF);
    EXPECT_ERRNO(old.create_vcpu(VcpuId(0)), EBADF);
    EXPECT_ERRNO(old.create_device(DeviceType::vfio), EBADF);
    EXPECT_ERRNO(old.enable_cap(0), EBADF);
    EXPECT_OK(moved.check(cap::irqchip));
}

TEST_F(Closed, AVcpuAnswersEbadfToEveryCall) {
    Guest guest(kvm());
    Vcpu& old = guest.vcpu();
    const Vcpu moved = std::move(old);
    EXPECT_ERRNO(old.one_reg(some_register), EBADF);  // NOLINT(bugprone-use-after-move)
    EXPECT_ERRNO(old.set_one_reg(some_register, 0), EBADF);
    EXPECT_ERRNO(old.reg_list(), EBADF);
    EXPECT_ERRNO(old.mp_state(), EBADF);
    EXPECT_ERRNO(old.set_mp_state({}), EBADF);
    EXPECT_ERRNO(old.set_guest_debug({}), EBADF);
    EXPECT_ERRNO(old.enable_cap(0), EBADF);
    EXPECT_OK(moved.mp_state());
}

TEST_F(Vcpus, NoMoreAreRecommendedThanAllowed) {
    const int recommended = must(kvm().check(cap::nr_vcpus));
    EXPECT_GE(recommended, 1);
    EXPECT_GE(must(kvm().check(cap::max_vcpus)), recommended);
    EXPECT_GE(must(kvm().check(cap::max_vcpu_id)), must(kvm().check(cap::max_vcpus)));
}

TEST_F(Vcpus, MayHaveAnyIdBelowTheLimit) {
    const Vm vm = must(kvm().create_vm());
    const u32 limit = static_cast<u32>(must(vm.check(cap::max_vcpu_id)));
    EXPECT_OK(vm.create_vcpu(VcpuId(limit - 1)));
    EXPECT_ERRNO(vm.create_vcpu(VcpuId(limit)), EINVAL);
    EXPECT_ERRNO(vm.create_vcpu(VcpuId(limit + 65537)), EINVAL);
}

/// Lets the process have so many descriptors; false if it may not.
bool allow_descriptors(rlim_t count) {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < count) {
        return false;
    }
    limit.rlim_cur = std::max(limit.rlim_cur, count);
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

TEST_F(Vcpus, AreAsManyAsTheCapabilitySaysAndNotOneMore) {
    const Vm vm = must(kvm().create_vm());
    const u32 most = static_cast<u32>(must(vm.check(cap::max_vcpus)));
    if (most > 1024 || !allow_descriptors(most + 64)) {
        GTEST_SKIP() << "needs descriptors and memory for " << most << " vCPUs";
    }
    std::vector<Vcpu> vcpus;
    for (u32 id = 0; id < most; ++id) {
        vcpus.push_back(must(vm.create_vcpu(VcpuId(id))));
    }
    EXPECT_ERRNO(vm.create_vcpu(VcpuId(most)), EINVAL);
}

TEST_F(Vcpus, TheirVmMayMoveToAnotherThread) {
    Vm vm = must(kvm().create_vm());
    std::thread([moved = std::move(vm)] { EXPECT_OK(moved.create_vcpu(VcpuId(0))); }).join();
}

TEST_F(Slots, ThatWereNeverMadeCannotBeRemoved) {
    const Vm vm = must(kvm().create_vm());
    EXPECT_ERRNO(vm.set_user_memory_region({0, 0, 0, 0, 0}), EINVAL);
}

TEST_F(Slots, ThatWereNeverMadeCannotBeRemovedByTheSecondFormEither) {
    REQUIRE_CAP(kvm(), cap::user_memory2);
    const Vm vm = must(kvm().create_vm());
    EXPECT_ERRNO(vm.set_user_memory_region2(UserspaceMemoryRegion2{}), EINVAL);
}

TEST_F(Slots, TakeMemoryThatTheHostMayOnlyRead) {
    const Vm vm = must(kvm().create_vm());
    Pages pages(1);
    ASSERT_EQ(mprotect(pages.bytes().data(), pages.bytes().size(), PROT_READ), 0);
    EXPECT_OK(vm.add_memory(Slot(0), 0_gpa, pages.bytes()));
}

TEST_F(Slots, HaveABitmapWithABitForEachPage) {
    const Vm vm = must(kvm().create_vm());
    Pages pages(129);
    for (const std::size_t count : {1u, 8u, 9u, 63u, 64u, 65u, 100u, 128u, 129u}) {
        Memslot slot = must(vm.add_memory(Slot(0), 0_gpa, pages.bytes().first(count * 4096)));
        EXPECT_EQ(slot.bitmap_words(), (count + 63) / 64) << count;
        EXPECT_OK(vm.remove_memory(std::move(slot)));
    }
}

TEST_F(Enabling, NothingAtAllIsRefused) {
    const Vm vm = must(kvm().create_vm());
    EXPECT_ERRNO(vm.enable_cap(0), EINVAL);
}

TEST_F(RawDoor, AsksForTheVersionMakesAVmAndAsksForACapability) {
    EXPECT_EQ(must(call(kvm().fd(), op::get_api_version)), 12);
    const auto number = call(kvm().fd(), op::create_vm, 0);
    ASSERT_OK(number);
    const Fd vm(static_cast<int>(*number));
    EXPECT_EQ(must(call(vm, op::check_extension, cap::user_memory.number)), 1);
}

}  // namespace
}  // namespace kvm::test
