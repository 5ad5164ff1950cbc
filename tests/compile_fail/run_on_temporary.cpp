// SPDX-License-Identifier: Apache-2.0 OR MIT
// A vCPU that ends with the expression cannot be run: its Exit would point nowhere.
// expect: deleted
#include <kvm/kvm.hpp>

kvm::ExitReason use(const kvm::Vm& vm) {
#if MISUSE == 1
    return vm.create_vcpu(kvm::VcpuId(0)).value().run().value().reason();
#else
    auto vcpu = vm.create_vcpu(kvm::VcpuId(0)).value();
    return vcpu.run().value().reason();
#endif
}
