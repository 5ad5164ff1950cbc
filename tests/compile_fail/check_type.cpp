// SPDX-License-Identifier: Apache-2.0 OR MIT
// A capability answers in its own type.
// expect: {mismatch}
// expect: {mismatch}
#include <kvm/kvm.hpp>

bool use(const kvm::Vm& vm) {
#if MISUSE == 1
    const kvm::Flags<kvm::ClockFlag> answer = vm.check(kvm::cap::xen_hvm).value();
    return answer.empty();
#elif MISUSE == 2
    return vm.check(32).has_value();
#else
    const kvm::Flags<kvm::XenHvmFlag> answer = vm.check(kvm::cap::xen_hvm).value();
    return answer.empty();
#endif
}
