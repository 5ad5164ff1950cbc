// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <gtest/gtest.h>
#include <kvm/system.hpp>
#include <optional>
#include <string>
#include <support/result.hpp>

/// What a test needs of its host. Never ask for the host's shape (how many CPUs, which flags), only
/// for capabilities.
namespace kvm::test {

/// "needs KVM_CAP_X86_SMM, which this KVM lacks"
std::string lacks(const char* name);

/// Why a test that needs `cap` of `object` (a Kvm or a Vm) cannot run; "" if it can.
template <class Object, class T>
std::string missing(const Object& object, Cap<T> cap) {
    const T value = must(object.check(cap));
    if constexpr (requires { value.empty(); }) {
        return value.empty() ? lacks(cap.name) : "";
    } else {
        return value == T() ? lacks(cap.name) : "";
    }
}
/// The same for a capability that answers with bits, of which all of `bits` are needed.
template <class Object, class E>
std::string missing(const Object& object, Cap<Flags<E>> cap, std::type_identity_t<Flags<E>> bits) {
    return must(object.check(cap)).has(bits)
               ? ""
               : "needs bits " + std::to_string(bits.bits()) + " of KVM_CAP_" + cap.name +
                     ", which this KVM lacks";
}

/// A test suite with a KVM, `kvm`: where it cannot be opened, each of its tests is skipped, with
/// the reason.
class WithKvm : public ::testing::Test {
protected:
    void SetUp() override;

    /// Only SetUp() finds it empty.
    Kvm& kvm() { return *kvm_; }

private:
    std::optional<Kvm> kvm_;
};

}  // namespace kvm::test

/// Skips the test unless the object (a Kvm or a Vm) has the capability, or all of the bits given.
#define REQUIRE_CAP(...)                                                                           \
    do {                                                                                           \
        if (const std::string why = ::kvm::test::missing(__VA_ARGS__); !why.empty()) {             \
            GTEST_SKIP() << why;                                                                   \
        }                                                                                          \
    } while (false)
