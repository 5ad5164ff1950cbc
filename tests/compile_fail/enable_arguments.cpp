// SPDX-License-Identifier: Apache-2.0 OR MIT
// A capability is enabled with as many arguments as it takes, of their types.
// expect: {mismatch}
// expect: {mismatch}
// expect: {mismatch}
#include <kvm/kvm.hpp>

kvm::Result<void> use(kvm::Vm& vm) {
#if MISUSE == 1
    return vm.enable(kvm::cap::split_irqchip);
#elif MISUSE == 2
    return vm.enable(kvm::cap::split_irqchip, 24, 1);
#elif MISUSE == 3
    return vm.enable(kvm::cap::x86_disable_exits, kvm::MemFlag::readonly);
#else
    (void)vm.enable(kvm::cap::split_irqchip, 24);
    return vm.enable(kvm::cap::x86_disable_exits, kvm::DisableExit::hlt);
#endif
}
