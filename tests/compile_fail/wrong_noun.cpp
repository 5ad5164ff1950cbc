// SPDX-License-Identifier: Apache-2.0 OR MIT
// One kind of number cannot be passed for another.
// expect: {mismatch}
// expect: {mismatch}
// expect: {mismatch}
// expect: {mismatch}
// expect: {mismatch}
// matching|invalid|cannot initialize)
#include <kvm/kvm.hpp>

kvm::Result<void> use(kvm::Vm& vm, kvm::Vcpu& vcpu, const kvm::EventFd& event) {
    using namespace kvm::literals;
    const auto any = kvm::Datamatch::any_length();
#if MISUSE == 1
    return vm.add_irqfd(event, kvm::Slot(4));
#elif MISUSE == 2
    return vm.add_ioeventfd(event, 0x3f8, any);
#elif MISUSE == 3
    return vm.irq_line(kvm::Gsi(4), true);
#elif MISUSE == 4
    (void)vcpu.translate(0x1000_gpa);
    return {};
#elif MISUSE == 5
    (void)vm.create_vcpu(0);
    return {};
#else
    (void)vm.add_irqfd(event, kvm::Gsi(4));
    (void)vm.add_ioeventfd(event, kvm::Port(0x3f8), any);
    (void)vcpu.translate(0x1000_gva);
    (void)vm.create_vcpu(kvm::VcpuId(0));
    return vm.irq_line(kvm::Gsi(4), kvm::Level::high);
#endif
}
