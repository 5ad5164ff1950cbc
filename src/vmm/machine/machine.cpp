// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/machine/create.hpp>
#include <vmm/machine/vcpu_loop.hpp>

namespace vmm {

Result<MachineLimits> MachineLimits::query() {
    const kvm::Kvm kvm = KVM_TRY(kvm::Kvm::open());
    return MachineLimits{KVM_TRY(detail::most_cpus(kvm)), host_memory_size()};
}

template <Hypervisor Backend>
Result<BasicMachine<Backend>> BasicMachine<Backend>::create(const MachineConfig& config,
                                                            Console& console, MachineEvents events)
    requires std::same_as<Backend, KvmBackend>
{
    KVM_TRY(check(config));  // before anything is opened
    return create(config, console, KVM_TRY(kvm::Kvm::open()), std::move(events));
}

template class BasicMachine<KvmBackend>;

}  // namespace vmm
