// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Exit itself: reasons, names, visiting, staleness.

#include "run_page.hpp"

#include <kvm/error.hpp>
#include <memory>
#include <string>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

namespace kvm::test {
namespace {

TEST(Visit, EveryReasonOfTheLibraryHasAPayloadOfItsOwn) {
    std::vector<std::type_index> seen;
    for (u32 reason = 0; reason < exit_reason_count; ++reason) {
        RunPage page(reason);
        const std::type_index payload =
            page.exit().visit([](const auto& p) { return std::type_index(typeid(p)); });
        EXPECT_NE(payload, typeid(exit::Other)) << reason;
        for (const auto& other : seen) {
            EXPECT_NE(payload, other) << reason;
        }
        seen.push_back(payload);
    }
    EXPECT_EQ(seen.size(), 44u);
}

TEST(Visit, AReasonNewerThanTheLibraryIsOtherAndNeverAPanic) {
    for (const u32 reason : {44u, 45u, 1000u, ~0u}) {
        RunPage page(reason);
        EXPECT_EQ(static_cast<u32>(page.exit().reason()), reason);
        EXPECT_STREQ(name(page.exit().reason()), "?");
        page.expect<exit::Other>([&](exit::Other e) { EXPECT_EQ(e.reason, reason); });
    }
}

TEST(Visit, ReasonsAreNamedAsTheKernelNamesThem) {
    EXPECT_STREQ(name(ExitReason::unknown), "UNKNOWN");
    EXPECT_STREQ(name(ExitReason::io), "IO");
    EXPECT_STREQ(name(ExitReason::irq_window_open), "IRQ_WINDOW_OPEN");
    EXPECT_STREQ(name(ExitReason::system_event), "SYSTEM_EVENT");
    EXPECT_STREQ(name(ExitReason::x86_rdmsr), "X86_RDMSR");
    EXPECT_STREQ(name(ExitReason::memory_fault), "MEMORY_FAULT");
    EXPECT_STREQ(name(ExitReason::snp_req_certs), "SNP_REQ_CERTS");
}

TEST(Visit, ReturnsWhatTheArmReturns) {
    RunPage page(5);
    const auto number =
        page.exit().visit(handlers{[](exit::Hlt) { return 5; }, [](const auto&) { return 0; }});
    static_assert(std::is_same_v<decltype(number), const int>);
    EXPECT_EQ(number, 5);

    const auto moved =
        page.exit().visit([](const auto&) { return std::make_unique<std::string>("move-only"); });
    EXPECT_EQ(*moved, "move-only");
}

TEST(Visit, AnArmMayReturnAReference) {
    RunPage page(5);
    int outside = 1;
    static_assert(
        std::is_same_v<decltype(page.exit().visit([&](const auto&) -> int& { return outside; })),
                       int&>);
    page.exit().visit([&](const auto&) -> int& { return outside; }) = 2;
    EXPECT_EQ(outside, 2);
}

TEST(Visit, AnArmMayReturnAResult) {
    RunPage page(8);
    const Result<int> result = page.exit().visit(handlers{
        [](exit::Shutdown) -> Result<int> { return fail("triple fault", 5); },
        [](const auto&) -> Result<int> { return 0; },
    });
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, 5);
}

struct Counter {
    int hlt = 0, rest = 0;
    void operator()(exit::Hlt) { ++hlt; }
    void operator()(const auto&) { ++rest; }
};

TEST(Visit, AHandlerMayKeepStateAndBePassedAsAnLvalue) {
    Counter counter;
    RunPage(5).exit().visit(counter);
    RunPage(6).exit().visit(counter);
    EXPECT_EQ(counter.hlt, 1);
    EXPECT_EQ(counter.rest, 1);
}

TEST(Visit, HandlersMustCoverEveryExit) {
    auto only_hlt = handlers{[](exit::Hlt) {}};
    auto with_generic_arm = handlers{[](exit::Hlt) {}, [](const auto&) {}};
    static_assert(!detail::handles_every_exit<decltype(only_hlt)>);
    static_assert(detail::handles_every_exit<decltype(with_generic_arm)>);
    (void)only_hlt, (void)with_generic_arm;
}

TEST(Exit, IsAPointerThatMovesAndDoesNotCopy) {
    static_assert(!std::is_copy_constructible_v<Exit> && !std::is_copy_assignable_v<Exit>);
    static_assert(std::is_nothrow_move_constructible_v<Exit>);
#if !KVMXX_CHECKED
    static_assert(sizeof(Exit) == sizeof(void*));
#endif
    RunPage page(5);
    Exit exit = page.exit();
    const Exit moved = std::move(exit);
    EXPECT_EQ(moved.reason(), ExitReason::hlt);
    EXPECT_EQ(&moved.raw(), &page.run());
}

TEST(Exit, IsTriviallyCopiedInTheProcessorsSense) {
    static_assert(std::is_trivially_destructible_v<Exit>);
    static_assert(std::is_trivially_destructible_v<Result<Exit>>);
}

#if KVMXX_CHECKED
TEST(ExitDeathTest, AStaleExitAsserts) {
    RunPage page(5);
    const Exit stale = page.exit();
    Exit::next_generation(page.run());
    EXPECT_DEATH((void)stale.reason(), "used after the next run");
    EXPECT_DEATH(stale.visit([](const auto&) {}), "used after the next run");
    EXPECT_EQ(page.exit().reason(), ExitReason::hlt) << "a new one is good";
}
#endif

}  // namespace
}  // namespace kvm::test
