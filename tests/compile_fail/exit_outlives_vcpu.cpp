// SPDX-License-Identifier: Apache-2.0 OR MIT
// An Exit does not outlive its vCPU.
// only: clang
// expect: (stack memory|dangling|-Wreturn-stack-address)
#include <kvm/kvm.hpp>

kvm::Result<kvm::Exit> use(const kvm::Vm& vm, kvm::Vcpu& outer) {
    auto inner = vm.create_vcpu(kvm::VcpuId(1));
    kvm::Vcpu vcpu = static_cast<kvm::Vcpu&&>(*inner);
#if MISUSE == 1
    (void)outer;
    return vcpu.run();
#else
    (void)vcpu.run();
    return outer.run();
#endif
}
