// SPDX-License-Identifier: Apache-2.0 OR MIT
// Only capabilities that the kernel lets one enable have enable(), on the object they belong to.
// expect: {mismatch}
// expect: {mismatch}
// expect: {mismatch}
#include <kvm/kvm.hpp>

kvm::Result<void> use(kvm::Vm& vm, kvm::Vcpu& vcpu) {
#if MISUSE == 1
    return vm.enable(kvm::cap::irqfd);
#elif MISUSE == 2
    return vcpu.enable(kvm::cap::split_irqchip, 24);
#elif MISUSE == 3
    return vm.enable(kvm::cap::hyperv_synic);
#else
    (void)vcpu.enable(kvm::cap::hyperv_synic);
    return vm.enable(kvm::cap::split_irqchip, 24);
#endif
}
