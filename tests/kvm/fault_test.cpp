// SPDX-License-Identifier: Apache-2.0 OR MIT
// Each system call of each public operation is failed with each errno. No /dev/kvm is needed.
#include "fault_operations.hpp"

#include <algorithm>
#include <filesystem>
#include <gtest/gtest.h>

namespace kvm::test {
namespace {

/// What the kernel documents for some call or other; each call gets them all.
constexpr int errnos[] = {EPERM,     ENOENT,  EINTR,      EIO,      ENXIO,  E2BIG,  EBADF,
                          EAGAIN,    ENOMEM,  EACCES,     EFAULT,   EBUSY,  EEXIST, ENODEV,
                          EINVAL,    ENFILE,  EMFILE,     ENOTTY,   ENOSPC, ENOSYS, ENOEXEC,
                          EOVERFLOW, ENODATA, EOPNOTSUPP, EHWPOISON};

std::ptrdiff_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
}

/// A name and the operations of that object.
struct Group {
    const char* name;
    std::vector<Operation> (*operations)();
};
void PrintTo(const Group& group, std::ostream* out) { *out << group.name; }

class Fault : public ::testing::TestWithParam<Group> {};

TEST_P(Fault, EachOperationSucceedsWithTheSystemCallsItShouldMake) {
    for (const Operation& operation : GetParam().operations()) {
        SCOPED_TRACE(operation.name);
        World world;
        world.kernel.forget();
        const auto error = operation.run(world);
        EXPECT_FALSE(error) << error->what << " " << error->code;
        EXPECT_EQ(world.kernel.calls().size(), operation.steps.size());
        EXPECT_EQ(world.kernel.mistakes(), std::vector<std::string>());
    }
}

/// Fails one call with one errno, and looks at what is left.
void fail_once(const Operation& operation, std::size_t number, int code) {
    const Step& step = operation.steps[number];
    World world;
    world.kernel.forget();
    const auto before = world.kernel.account();
    world.kernel.fail(number, code);
    std::optional<Error> error;
    try {
        error = operation.run(world);
    } catch (const Failure& failure) {  // of a must() that is part of the operation
        error = failure.error();
    }
    if (std::ranges::find(step.absorbed, code) != step.absorbed.end()) {
        EXPECT_FALSE(error) << "this errno is no failure";
    } else {
        ASSERT_TRUE(error) << "the failure was swallowed";
        const auto told = step.told_as.find(code);
        EXPECT_EQ(error->code, told == step.told_as.end() ? code : told->second);
        EXPECT_STREQ(error->what, step.what);
        EXPECT_EQ(world.kernel.calls().size(), number + 1) << "went on after a failure";
        EXPECT_EQ(world.kernel.account(), before) << "something leaked";
        const auto again = operation.run(world);
        EXPECT_FALSE(again) << "unusable after a failure: " << again->what << " " << again->code;
    }
    EXPECT_EQ(world.kernel.mistakes(), std::vector<std::string>());
}

TEST_P(Fault, AFailureSaysWhichCallAndWhyLeaksNothingAndSpoilsNothing) {
    const auto descriptors = open_descriptors();
    for (const Operation& operation : GetParam().operations()) {
        SCOPED_TRACE(operation.name);
        for (std::size_t number = 0; number < operation.steps.size(); ++number) {
            for (const int code : errnos) {
                SCOPED_TRACE(std::string(operation.steps[number].what) + ", call " +
                             std::to_string(number) + ", fails with " + strerrorname_np(code));
                fail_once(operation, number, code);
            }
        }
    }
    EXPECT_EQ(open_descriptors(), descriptors);
}

INSTANTIATE_TEST_SUITE_P(
    Of, Fault,
    ::testing::Values(Group{"Kvm", system_operations}, Group{"Vm", vm_operations},
                      Group{"Vcpu", vcpu_operations}, Group{"Others", object_operations},
                      Group{"Sev", sev_operations}, Group{"Tdx", tdx_operations},
                      Group{"Foreign", foreign_operations}),
    [](const auto& group) { return std::string(group.param.name); });

TEST(FaultEnd, EverythingIsClosedOnceAndUnmappedWhole) {
    const auto descriptors = open_descriptors();
    FakeKernel kernel;
    {
        Kvm kvm = *Kvm::open();
        Vm vm = *kvm.create_vm();
        Vcpu vcpu = *vm.create_vcpu(VcpuId(0));
        Vcpu moved = std::move(vcpu);
        Vcpu other = *vm.create_vcpu(VcpuId(1));
        other = std::move(moved);
        Vm second = *kvm.create_vm();
        second = std::move(vm);
        CoalescedRing ring = *CoalescedRing::map(other, 2);
        CoalescedRing ring2 = std::move(ring);
        ring2 = *CoalescedRing::map(other, 2);
        DirtyRing dirty = *DirtyRing::map(other, 4096);
        DirtyRing dirty2 = std::move(dirty);
        dirty = std::move(dirty2);
        EXPECT_EQ(dirty2.harvest([](DirtyRing::Page) {}), 0u) << "nothing is in a moved-from ring";
        const int number = other.fd().number();
        Fd released = *other.fd().duplicate();
        EXPECT_NE(released.number(), number);
        Fd taken(released.release());
        EXPECT_FALSE(released.valid());
    }
    EXPECT_EQ(kernel.account(), FakeKernel::Account());
    EXPECT_EQ(kernel.mistakes(), std::vector<std::string>());
    EXPECT_EQ(open_descriptors(), descriptors);
}

}  // namespace
}  // namespace kvm::test
