// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdio>
#include <kvm/kvm.hpp>
#include <kvm/throw.hpp>

/// What the steps of docs/tour.md share.
namespace tour {

inline constexpr int skipped = 77;  // CTest takes it so

/// Runs a step: its return value is the program's. Without KVM it is skipped, with the reason.
inline int run(int (*step)(const kvm::Kvm&)) try {
    const auto kvm = kvm::Kvm::open();
    if (!kvm) {
        std::puts(kvm::explain(kvm.error()));
        return skipped;
    }
    return step(*kvm);
} catch (const kvm::Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
}

/// Says why a step cannot be taken on this KVM.
inline int skip(const char* why) {
    std::puts(why);
    return skipped;
}

}  // namespace tour
