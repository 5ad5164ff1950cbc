// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "print.hpp"

#include <array>
#include <cerrno>
#include <gtest/gtest.h>
#include <kvm/flex_array.hpp>
#include <limits>
#include <numeric>
#include <type_traits>
#include <utility>

namespace kvm::test {
namespace {

struct Header {
    std::uint32_t count;
    std::uint32_t other;
};
struct Entry {
    std::uint64_t value;
};
using Array = FlexArray<Header, Entry, &Header::count>;

Array array_of(std::initializer_list<Entry> entries) {
    return std::move(Array::from({entries.begin(), entries.size()})).value();
}

TEST(FlexArray, BeginsWithZeroes) {
    auto array = Array::with_capacity(4).value();
    EXPECT_EQ(array.capacity(), 4u);
    EXPECT_TRUE(array.empty());
    EXPECT_EQ(array.header().count, 0u);
    array.set_size(4);
    for (const Entry& entry : array) {
        EXPECT_EQ(entry.value, 0u);
    }
}

TEST(FlexArray, IsLaidOutAsTheKernelWantsIt) {
    const auto array = array_of({{7}, {8}});
    const auto* bytes = reinterpret_cast<const std::byte*>(&array.header());
    EXPECT_EQ(array.header().count, 2u);
    EXPECT_EQ(reinterpret_cast<const std::byte*>(array.data()), bytes + sizeof(Header));
    EXPECT_EQ(array[1].value, 8u);
}

TEST(FlexArray, IsARange) {
    auto array = array_of({{1}, {2}, {3}});
    EXPECT_EQ(std::accumulate(array.begin(), array.end(), std::uint64_t{0},
                              [](std::uint64_t sum, const Entry& e) { return sum + e.value; }),
              6u);
    const std::span<const Entry> view = std::as_const(array);
    EXPECT_EQ(view.size(), 3u);
    std::span<Entry>(array)[0].value = 9;
    EXPECT_EQ(array[0].value, 9u);
}

TEST(FlexArray, AppendsUpToItsCapacityAndNoFurther) {
    auto array = Array::with_capacity(2).value();
    EXPECT_TRUE(array.push_back({1}));
    EXPECT_TRUE(array.push_back({2}));
    const auto full = array.push_back({3});
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code, ENOSPC);
    EXPECT_EQ(array.size(), 2u);
    EXPECT_EQ(array[1].value, 2u);
}

TEST(FlexArray, IsNeverLongerThanItsCapacityWhateverTheKernelWrites) {
    auto array = Array::with_capacity(2).value();
    array.header().count = std::numeric_limits<std::uint32_t>::max();
    EXPECT_EQ(array.size(), 2u);
    EXPECT_EQ(array.end() - array.begin(), 2);
    EXPECT_EQ(std::span<const Entry>(std::as_const(array)).size(), 2u);
    EXPECT_EQ(array.wanted(), std::numeric_limits<std::uint32_t>::max());
    EXPECT_FALSE(array.push_back({1}));
    array.set_size(1000);
    EXPECT_EQ(array.header().count, 2u);
}

TEST(FlexArray, OfAnAbsurdCapacityIsAnError) {
    for (const std::size_t capacity :
         {std::size_t{1} << 40, std::numeric_limits<std::size_t>::max(),
          std::numeric_limits<std::size_t>::max() / sizeof(Entry)}) {
        const auto array = Array::with_capacity(capacity);
        ASSERT_FALSE(array) << capacity;
        EXPECT_EQ(array.error().code, ENOMEM);
    }
}

TEST(FlexArray, OfNothingIsGood) {
    const auto array = Array::from({}).value();
    EXPECT_TRUE(array.empty());
    EXPECT_EQ(array.begin(), array.end());
    EXPECT_EQ(array.capacity(), 0u);
}

TEST(FlexArray, MovesAndLeavesAnEmptyOneBehind) {
    static_assert(!std::is_copy_constructible_v<Array> && !std::is_copy_assignable_v<Array>);
    auto first = array_of({{1}, {2}});
    const Entry* data = first.data();
    Array second = std::move(first);
    EXPECT_EQ(second.data(), data);
    EXPECT_EQ(first.size(), 0u);
    EXPECT_EQ(first.capacity(), 0u);
    EXPECT_TRUE(first.empty());
    EXPECT_EQ(first.begin(), first.end());
    EXPECT_EQ(first.wanted(), 0u);
    EXPECT_TRUE(std::span<Entry>(first).empty());
    const auto pushed = first.push_back({3});
    ASSERT_FALSE(pushed);
    EXPECT_EQ(pushed.error().code, ENOSPC);

    first = std::move(second);
    EXPECT_EQ(first[1].value, 2u);
    Array& itself = first;
    first = std::move(itself);
    EXPECT_EQ(first.size(), 2u) << "moving to itself loses nothing";
}

TEST(FlexArray, IsCopiedBySayingSo) {
    const auto first = array_of({{1}, {2}});
    auto second = Array::from(first).value();
    second[0].value = 5;
    EXPECT_EQ(first[0].value, 1u);
    EXPECT_EQ(second.size(), 2u);
}

TEST(GrowUntilFilled, DoublesAsLongAsTheKernelSaysE2big) {
    int calls = 0;
    const auto array = detail::grow_until_filled<Array>(4, [&](Header& header) -> Result<void> {
        ++calls;
        if (header.count < 30) {
            return fail("KVM_TEST", E2BIG);
        }
        header.count = 30;
        return {};
    });
    ASSERT_TRUE(array);
    EXPECT_EQ(array->size(), 30u);
    EXPECT_EQ(calls, 4) << "4, 8, 16, 32";
}

TEST(GrowUntilFilled, BelievesTheNumberThatTheKernelLeaves) {
    int calls = 0;
    const auto array = detail::grow_until_filled<Array>(1, [&](Header& header) -> Result<void> {
        ++calls;
        if (header.count < 77) {
            header.count = 77;
            return fail("KVM_TEST", E2BIG);
        }
        return {};
    });
    ASSERT_TRUE(array);
    EXPECT_EQ(array->capacity(), 77u);
    EXPECT_EQ(calls, 2);
}

TEST(GrowUntilFilled, EndsWhateverTheKernelSays) {
    int calls = 0;
    const auto endless = detail::grow_until_filled<Array>(4, [&](Header& header) -> Result<void> {
        ++calls;
        header.count = ~0u;
        return fail("KVM_TEST", E2BIG);
    });
    ASSERT_FALSE(endless);
    EXPECT_EQ(endless.error().code, E2BIG);
    EXPECT_LT(calls, 20);
}

TEST(GrowUntilFilled, PassesOtherErrorsOn) {
    const auto failed = detail::grow_until_filled<Array>(
        4, [](Header&) -> Result<void> { return fail("KVM_TEST", ENOTTY, 6); });
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error(), (Error{"KVM_TEST", ENOTTY, 6}));
}

}  // namespace
}  // namespace kvm::test
