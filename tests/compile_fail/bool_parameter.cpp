// SPDX-License-Identifier: Apache-2.0 OR MIT
// Options have names: true and false are none.
// expect: {mismatch}
// expect: {mismatch}
#include <kvm/kvm.hpp>

kvm::Result<void> use(kvm::Vm& vm) {
#if MISUSE == 1
    return vm.enable(kvm::cap::exception_payload, true);
#elif MISUSE == 2
    return vm.create_pit2(true);
#else
    (void)vm.create_pit2(kvm::PitFlag::speaker_dummy);
    return vm.enable(kvm::cap::exception_payload, kvm::Switch::on);
#endif
}
