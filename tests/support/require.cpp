// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <support/require.hpp>

namespace kvm::test {

std::string lacks(const char* name) {
    return std::string("needs KVM_CAP_") + name + ", which this KVM lacks";
}

void WithKvm::SetUp() {
    auto opened = Kvm::open();
    if (!opened) {
        GTEST_SKIP() << describe(opened.error());
    }
    kvm_ = std::move(*opened);
}

}  // namespace kvm::test
