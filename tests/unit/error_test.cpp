// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "print.hpp"

#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <kvm/error.hpp>
#include <kvm/throw.hpp>
#include <kvm/try.hpp>
#include <memory>
#include <string>
#include <type_traits>

namespace kvm::test {
namespace {

TEST(Error, IsSixteenBytesThatCopyTrivially) {
    static_assert(sizeof(Error) == 16);
    static_assert(std::is_trivially_copyable_v<Error>);
    static_assert(std::is_trivially_destructible_v<Result<int>>);
    static_assert(std::is_trivially_copy_constructible_v<Result<void>>);
    static_assert(sizeof(Result<void>) <= 24 && sizeof(Result<int>) <= 24);
}

TEST(Error, IsAValueThatCompares) {
    constexpr Result<int> failed = fail("KVM_SET_MSRS", EINVAL, 3);
    static_assert(!failed && failed.error().detail == 3);
    EXPECT_EQ(failed.error(), (Error{"KVM_SET_MSRS", EINVAL, 3}));
    EXPECT_NE(failed.error(), (Error{"KVM_SET_MSRS", EINVAL, 4}));
}

std::string text(const Error& error) {
    char buffer[256];
    return describe(error, buffer, sizeof buffer);
}

TEST(Error, IsDescribedByOperationErrnoAndCause) {
    EXPECT_EQ(text({"KVM_CREATE_VM", EBUSY, 0}),
              "KVM_CREATE_VM: Device or resource busy (16): another hypervisor has the CPU: stop "
              "VirtualBox or VMware");
    EXPECT_EQ(text({"KVM_SET_MSRS", EFAULT, 7}), "KVM_SET_MSRS [7]: Bad address (14)");
    EXPECT_EQ(text({"KVM_SET_MSRS", EFAULT, 0}), "KVM_SET_MSRS [0]: Bad address (14)")
        << "the first entry has a number too";
    EXPECT_EQ(text({"KVM_RUN", EBADF, 0}), "KVM_RUN: Bad file descriptor (9)");
    EXPECT_EQ(text({"KVM_RUN", 4095, 0}), "KVM_RUN: error (4095)") << "no such errno";
}

TEST(Error, IsExplainedWhereItsErrnoDoesNotSayIt) {
    EXPECT_NE(std::strstr(explain({"open /dev/kvm", EACCES, 0}), "group kvm"), nullptr);
    EXPECT_NE(std::strstr(explain({"open /dev/kvm", ENOENT, 0}), "modprobe"), nullptr);
    EXPECT_NE(std::strstr(explain({"KVM_CREATE_VM", EBUSY, 0}), "hypervisor"), nullptr);
    EXPECT_NE(std::strstr(explain({"KVM_SET_CPUID2", EINVAL, 0}), "has run"), nullptr);
    EXPECT_STREQ(explain({"KVM_GET_REGS", EFAULT, 0}), "") << "the errno says it all";
}

TEST(Error, IsExplainedAlsoWhenItsWordsAreNotTheSamePointer) {
    const std::string what = "KVM_CREATE_VM";
    EXPECT_STRNE(explain({what.c_str(), EBUSY, 0}), "");
}

TEST(Error, DescriptionIsCutToItsBufferAndAlwaysTerminated) {
    char buffer[16];
    std::memset(buffer, 'x', sizeof buffer);
    EXPECT_STREQ(describe({"KVM_CREATE_VM", EBUSY, 0}, buffer, 8), "KVM_CRE");
    EXPECT_EQ(buffer[8], 'x') << "nothing beyond the size is written";
    buffer[0] = 'x';
    EXPECT_EQ(describe({"KVM_CREATE_VM", EBUSY, 0}, buffer, 0), buffer);
    EXPECT_EQ(buffer[0], 'x');
}

Result<std::unique_ptr<int>> half_of(int n) {
    if (n % 2 != 0) {
        return fail("half_of", EDOM, static_cast<std::uint32_t>(n));
    }
    return std::make_unique<int>(n / 2);
}

Result<int> quarter_of(int n) {
    const auto half = KVM_TRY(half_of(n));  // a move-only value
    return *KVM_TRY(half_of(*half));        // nested in an expression
}

Result<void> check_quarter(int n) {
    (void)KVM_TRY(quarter_of(n));
    return {};
}

Result<void> check_twice(int n) {
    KVM_TRY(check_quarter(n));  // of nothing
    KVM_TRY(check_quarter(n * 4));
    return {};
}

TEST(Try, GivesTheValueEvenIfItOnlyMoves) { EXPECT_EQ(quarter_of(12).value(), 3); }

TEST(Try, ReturnsTheErrorUnchanged) {
    EXPECT_EQ(quarter_of(7).error(), (Error{"half_of", EDOM, 7}));
    EXPECT_EQ(quarter_of(6).error(), (Error{"half_of", EDOM, 3}));
    EXPECT_EQ(check_quarter(6).error(), (Error{"half_of", EDOM, 3})) << "to another type of Result";
    EXPECT_EQ(check_twice(6).error().detail, 3u) << "through a Result of nothing";
    EXPECT_TRUE(check_twice(8));
}

TEST(Must, GivesTheValueEvenIfItOnlyMoves) {
    const std::unique_ptr<int> half = must(half_of(10));
    EXPECT_EQ(*half, 5);
    must(check_quarter(8));
}

TEST(Must, ThrowsTheErrorWithItsDescription) {
    try {
        must(half_of(9));
        FAIL() << "nothing was thrown";
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.error(), (Error{"half_of", EDOM, 9}));
        EXPECT_STREQ(failure.what(), "half_of [9]: Numerical argument out of domain (33)");
    }
}

}  // namespace
}  // namespace kvm::test
