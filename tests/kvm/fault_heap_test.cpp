// SPDX-License-Identifier: Apache-2.0 OR MIT
// Each allocation of each public operation fails once. No /dev/kvm is needed.
#include "fault_heap.hpp"
#include "fault_operations.hpp"

#include <gtest/gtest.h>

namespace kvm::test {
namespace {

std::vector<Operation> all_operations() {
    std::vector<Operation> all;
    for (const auto group : {system_operations, vm_operations, vcpu_operations, object_operations,
                             sev_operations, tdx_operations, foreign_operations}) {
        for (Operation& operation : group()) {
            all.push_back(std::move(operation));
        }
    }
    return all;
}

/// Runs the operation with its `n`-th allocation, counted from 0, failing. How many it asked for.
std::size_t run_without(const Operation& operation, std::size_t n) {
    World world;
    const auto before = world.kernel.account();
    const std::size_t live = heap::live();
    std::optional<Error> error;
    heap::fail_after(n);
    try {
        error = operation.run(world);
    } catch (const Failure& failure) {  // of a must() that is part of the operation
        error = failure.error();
    }
    heap::give_all();
    const std::size_t asked = heap::asked();
    if (asked <= n) {
        EXPECT_FALSE(error) << error->what << " " << error->code;
        return asked;
    }
    EXPECT_TRUE(error) << "went on without the block";
    EXPECT_EQ(error.value_or(Error{}).code, ENOMEM);
    EXPECT_EQ(heap::live(), live) << "a block leaked";
    EXPECT_EQ(world.kernel.account(), before) << "something leaked";
    EXPECT_EQ(world.kernel.mistakes(), std::vector<std::string>());
    EXPECT_FALSE(operation.run(world)) << "unusable after a failure";
    return asked;
}

TEST(FaultHeap, ABlockThatIsNotThereIsEnomemLeaksNothingAndSpoilsNothing) {
    const std::size_t live = heap::live();
    std::size_t failed = 0;
    for (const Operation& operation : all_operations()) {
        SCOPED_TRACE(operation.name);
        for (std::size_t n = 0; run_without(operation, n) > n; ++n) {
            SCOPED_TRACE("block " + std::to_string(n));
            ASSERT_LT(n, 20u);
            ++failed;
        }
    }
    EXPECT_GE(failed, 20u) << "lists, statistics, slots, a Kick";
    EXPECT_EQ(heap::live(), live);
}

TEST(FaultHeap, EveryListIsAnErrorWithoutItsBlock) {
    const auto refused = [](auto make) {
        heap::fail_after(0);
        const auto made = make();
        // Used, or clang sees that the block is not, and asks for none.
        asm volatile("" : : "r"(&made) : "memory");
        heap::give_all();
        return !made && made.error().code == ENOMEM;
    };
    EXPECT_TRUE(refused([] { return CpuidList::with_capacity(1); }));
    EXPECT_TRUE(refused([] { return GsiRouting::from({}); }));
    EXPECT_TRUE(refused([] { return Xsave2::with_size(8192); }));
    EXPECT_TRUE(refused([] { return NestedStateBlob::with_size(4096); }));
}

}  // namespace
}  // namespace kvm::test
