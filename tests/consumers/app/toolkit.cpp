// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <cstdio>
#include <kvm/version.hpp>
#include <vmm/error.hpp>

int main() {
    const vmm::Error error(kvm::Error{"KVM_CREATE_VM", EBUSY, 0});
    std::printf("kvmxx %s: %s\n", kvm::version, error.message.c_str());
    return error.code == EBUSY ? 0 : 1;
}
