// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vmm/error.hpp>

/// The toolkit's Results in assertions. GoogleTest reports what must() throws.
namespace vmm::test {

/// The value; a failure ends the test.
template <class T>
T must(Result<T> result) {
    if (!result) {
        throw std::runtime_error(result.error().message);
    }
    if constexpr (!std::is_void_v<T>) {
        return std::move(*result);
    }
}

/// The same of the core's.
template <class T>
T must(kvm::Result<T> result) {
    if (!result) {
        throw std::runtime_error(Error(result.error()).message);
    }
    if constexpr (!std::is_void_v<T>) {
        return std::move(*result);
    }
}

/// What the error says, or "succeeded".
template <class T>
std::string message(const Result<T>& result) {
    return result ? "succeeded" : result.error().message;
}

/// The error's errno; -1 for a success.
template <class T>
int code(const Result<T>& result) {
    return result ? -1 : result.error().code;
}

}  // namespace vmm::test
