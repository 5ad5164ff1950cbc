// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <cstdio>
#include <kvm/kvm.hpp>

int main() {
    const auto kvm = kvm::Kvm::open("/dev/null");
    char text[256];
    std::printf("kvmxx %s: %s\n", kvm::version, kvm::describe(kvm.error(), text, sizeof text));
    return !kvm && kvm.error().code == ENOTTY ? 0 : 1;
}
