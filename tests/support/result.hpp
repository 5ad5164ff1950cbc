// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstring>
#include <gtest/gtest.h>
#include <kvm/error.hpp>
#include <kvm/throw.hpp>
#include <string>

/// Results in assertions: `EXPECT_OK(vcpu.set_regs(regs))`, `EXPECT_ERRNO(vm.create_irqchip(),
/// EEXIST)`. For the value, `must()`: GoogleTest reports what it throws, which is the error's
/// description.
namespace kvm::test {

/// "KVM_RUN: Bad address (14): ..."
inline std::string describe(const Error& error) {
    char text[256];
    return kvm::describe(error, text, sizeof text);
}

template <class T>
::testing::AssertionResult is_ok(const char* expression, const Result<T>& result) {
    if (result) {
        return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure() << expression << " failed: " << describe(result.error());
}

template <class T>
::testing::AssertionResult fails_with(const char* expression, const char*, const Result<T>& result,
                                      int code) {
    if (result) {
        return ::testing::AssertionFailure()
               << expression << " succeeded, and should fail: " << strerrordesc_np(code);
    }
    if (result.error().code != code) {
        return ::testing::AssertionFailure()
               << expression << " should fail with " << strerrorname_np(code)
               << ", but: " << describe(result.error());
    }
    return ::testing::AssertionSuccess();
}

}  // namespace kvm::test

#define EXPECT_OK(result) EXPECT_PRED_FORMAT1(::kvm::test::is_ok, result)
#define ASSERT_OK(result) ASSERT_PRED_FORMAT1(::kvm::test::is_ok, result)
#define EXPECT_ERRNO(result, code) EXPECT_PRED_FORMAT2(::kvm::test::fails_with, result, code)
#define ASSERT_ERRNO(result, code) ASSERT_PRED_FORMAT2(::kvm::test::fails_with, result, code)
