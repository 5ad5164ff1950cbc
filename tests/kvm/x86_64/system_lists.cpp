// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <set>
#include <support/require.hpp>

namespace kvm::test {
namespace {

class SystemX86 : public WithKvm {};

TEST_F(SystemX86, SupportsTheLeavesThatEveryCpuHas) {
    REQUIRE_CAP(kvm(), cap::ext_cpuid);
    const auto leaves = must(kvm().supported_cpuid());
    for (const u32 leaf : {0u, 1u, 0x8000'0000u, 0x4000'0000u}) {
        EXPECT_NE(std::ranges::find(leaves, leaf, &CpuidEntry2::function), leaves.end()) << leaf;
    }
}

TEST_F(SystemX86, ListsTheLeavesThatItEmulates) {
    REQUIRE_CAP(kvm(), cap::ext_emul_cpuid);
    const auto leaves = must(kvm().emulated_cpuid());
    EXPECT_FALSE(leaves.empty());
}

TEST_F(SystemX86, ListsEachMsrOfASnapshotOnce) {
    const auto indices = must(kvm().msr_index_list());
    const std::set<u32> unique(indices.begin(), indices.end());
    EXPECT_GT(indices.size(), 10u);
    EXPECT_EQ(unique.size(), indices.size());
    EXPECT_TRUE(unique.contains(0x10)) << "the TSC";
}

TEST_F(SystemX86, GivesTheValueOfEveryFeatureMsrThatItLists) {
    REQUIRE_CAP(kvm(), cap::get_msr_features);
    std::vector<MsrEntry> entries;
    for (const u32 index : must(kvm().msr_feature_index_list())) {
        entries.push_back({.index = index, .reserved = 0, .data = 0});
    }
    EXPECT_FALSE(entries.empty());
    EXPECT_OK(kvm().msrs(entries));
}

TEST_F(SystemX86, TellsWhichFeatureMsrItDoesNotKnow) {
    REQUIRE_CAP(kvm(), cap::get_msr_features);
    const u32 known = must(kvm().msr_feature_index_list())[0];
    MsrEntry entries[] = {{known, 0, 0}, {known, 0, 0}, {0x1234'5678, 0, 0}};
    const auto done = kvm().msrs(entries);
    ASSERT_ERRNO(done, EINVAL);
    EXPECT_EQ(done.error().detail, 2u);
}

TEST_F(SystemX86, TooShortAListOfLeavesGrows) {
    const auto tiny = must(detail::grow_until_filled<CpuidList>(
        1, [&](Cpuid2& list) { return call(kvm().fd(), op::x86_64::get_supported_cpuid, list); }));
    EXPECT_EQ(tiny.size(), must(kvm().supported_cpuid()).size());
}

TEST_F(SystemX86, TooShortAListOfMsrsGrowsToWhatTheKernelSaysAtOnce) {
    int calls = 0;
    const auto tiny = must(detail::grow_until_filled<MsrIndexList>(1, [&](MsrList& list) {
        ++calls;
        return call(kvm().fd(), op::x86_64::get_msr_index_list, list);
    }));
    EXPECT_EQ(tiny.size(), must(kvm().msr_index_list()).size());
    EXPECT_EQ(calls, 2);
}

TEST_F(SystemX86, SaysWhichXsaveComponentsGuestsMayUse) {
    REQUIRE_CAP(kvm(), cap::sys_attributes);
    ASSERT_TRUE(must(kvm().has_attr(xcomp_guest_supp)));
    EXPECT_EQ(must(kvm().attr(xcomp_guest_supp)) & 3, 3u) << "x87 and SSE";
}

TEST_F(SystemX86, AnAttributeThatDoesNotExistIsAnswerOrError) {
    REQUIRE_CAP(kvm(), cap::sys_attributes);
    constexpr Attr<u64> none{0, 4711, "none"};
    EXPECT_FALSE(must(kvm().has_attr(none)));
    EXPECT_ERRNO(kvm().attr(none), ENXIO);
}

}  // namespace
}  // namespace kvm::test
