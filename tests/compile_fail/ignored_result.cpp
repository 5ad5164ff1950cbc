// SPDX-License-Identifier: Apache-2.0 OR MIT
// A Result must not be ignored.
// expect: ignoring return.*nodiscard
// expect: ignoring return.*nodiscard
#include <kvm/kvm.hpp>

void use(kvm::Vm& vm, kvm::Vcpu& vcpu, const kvm::Regs& regs) {
#if MISUSE == 1
    vcpu.set_regs(regs);
#elif MISUSE == 2
    vm.create_vcpu(kvm::VcpuId(0));
#else
    (void)vcpu.set_regs(regs);
    (void)vm;
#endif
}
