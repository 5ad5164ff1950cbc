// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <exception>
#include <kvm/error.hpp>
#include <utility>

/// For programs that prefer exceptions: `auto kvm = kvm::must(kvm::Kvm::open());`
/// Opt-in: the only header of the library that knows exceptions.
namespace kvm {

/// What must() throws: the Error, with its description as what().
class Failure : public std::exception {
public:
    /// Keeps the error and its description().
    explicit Failure(const Error& error) : error_(error) { describe(error, text_, sizeof text_); }

    /// The failure as a value.
    const Error& error() const noexcept { return error_; }
    /// The error as describe() has it.
    const char* what() const noexcept override { return text_; }

private:
    Error error_;
    char text_[256];
};

/// The value of `result`, or throws Failure.
template <class T>
T must(Result<T> result) {
    if (!result) {
        throw Failure(result.error());
    }
    if constexpr (!__is_same(T, void)) {
        return std::move(*result);
    }
}

}  // namespace kvm
