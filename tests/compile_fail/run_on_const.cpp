// SPDX-License-Identifier: Apache-2.0 OR MIT
// What changes a vCPU is not const.
// expect: {mismatch}
// expect: {mismatch}
#include <kvm/kvm.hpp>

bool use(const kvm::Vcpu& vcpu, kvm::Vcpu& other) {
#if MISUSE == 1
    return vcpu.run().has_value() && other.fd().valid();
#elif MISUSE == 2
    return vcpu.set_regs({}).has_value() && other.fd().valid();
#else
    return vcpu.regs().has_value() && other.run().has_value();
#endif
}
