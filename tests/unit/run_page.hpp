// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <cstring>
#include <gtest/gtest.h>
#include <kvm/exit.hpp>

namespace kvm::test {

/// Where kvm_run's union begins, by linux/kvm.h.
inline constexpr std::size_t payload = 32;

/// A kvm_run mapping filled by hand, at the kernel's offsets: the library's own structures are not
/// asked, so that a wrong one shows.
class RunPage {
public:
    explicit RunPage(std::uint32_t reason) { put(8, reason); }

    /// Writes `value` at an offset from kvm_run's start.
    template <class T>
    RunPage& put(std::size_t offset, T value) {
        std::memcpy(bytes_ + offset, &value, sizeof value);
        return *this;
    }
    /// Writes `value` at an offset from the union's start.
    template <class T>
    RunPage& at(std::size_t offset, T value) {
        return put(payload + offset, value);
    }
    /// What a reply left at an offset from the union's start.
    template <class T>
    T get(std::size_t offset) const {
        T value;
        std::memcpy(&value, bytes_ + payload + offset, sizeof value);
        return value;
    }

    Run& run() { return *reinterpret_cast<Run*>(bytes_); }
    Exit exit() { return Exit(run()); }
    const std::byte* bytes() const { return bytes_; }

    /// Fails the test unless the exit decodes as a P, and has `check` look at it.
    template <class P, class Check>
    void expect(Check check) {
        bool seen = false;
        exit().visit(handlers{[&](P p) {
                                  seen = true;
                                  check(p);
                              },
                              [](const auto&) {}});
        EXPECT_TRUE(seen) << name(exit().reason()) << " decodes as something else";
    }
    template <class P>
    void expect() {
        expect<P>([](const P&) {});
    }

private:
    alignas(4096) std::byte bytes_[3 * 4096] = {};
};

}  // namespace kvm::test
