// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What the kernel counts about a VM and a vCPU. It describes its numbers itself.

#include "tour_x86_64.hpp"

constexpr unsigned char code[] = {0xe6, 0x10, 0xe6, 0x10, 0xf4};  // out 0x10, al; the same; hlt

alignas(4096) std::byte memory[0x4000];

int step(const kvm::Kvm& kvm) {
    const kvm::Vm vm = must(kvm.create_vm());
    if (!must(vm.check(kvm::cap::binary_stats_fd))) {
        return tour::skip("this KVM has no statistics");
    }
    must(vm.add_memory(kvm::Slot(0), kvm::Gpa(0), memory));
    kvm::Vcpu vcpu = must(vm.create_vcpu(kvm::VcpuId(0)));
    tour::load(vcpu, memory, code);
    while (must(vcpu.run()).reason() == kvm::ExitReason::io) {
    }

    kvm::Stats stats = must(vcpu.stats());
    must(stats.update());  // all values of one moment, by one system call
    std::printf("%s\n", stats.id());
    for (const kvm::StatsDesc& desc : stats.descriptors()) {
        const auto values = stats.values(desc);  // the buckets, where it is a histogram
        if (values.size() == 1 && values[0] != 0) {
            std::printf("  %-28s %lu\n", desc.name, values[0]);
        }
    }
    const kvm::StatsDesc* exits = stats.find("exits");
    return !exits || stats.values(*exits)[0] >= 3 ? 0 : 1;
}

int main() { return tour::run(step); }
