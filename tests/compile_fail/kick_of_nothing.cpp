// SPDX-License-Identifier: Apache-2.0 OR MIT
// A Kick is always some vCPU's, made by it.
// expect: {mismatch}
#include <kvm/kvm.hpp>

kvm::Result<kvm::Kick> use(kvm::Vcpu& vcpu) {
#if MISUSE == 1
    (void)vcpu;
    return kvm::Kick();
#else
    return vcpu.create_kick();
#endif
}
