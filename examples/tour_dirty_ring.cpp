// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Which pages a guest wrote, in order, without a bitmap of all of its memory: the dirty ring.

#include "tour_x86_64.hpp"

#include <vector>

constexpr unsigned char code[] = {
    0xc6, 0x06, 0x34, 0x52, 0x02,  // mov byte [0x5234], 2
    0xc6, 0x06, 0x00, 0x30, 0x01,  // mov byte [0x3000], 1
    0xf4,                          // hlt
};

alignas(4096) std::byte memory[16 * 4096];

int step(const kvm::Kvm& kvm) {
    constexpr std::size_t bytes = 64 * 1024;  // 4096 entries for each vCPU
    const kvm::Vm vm = must(kvm.create_vm());
    if (must(vm.check(kvm::cap::dirty_log_ring)) < int(bytes)) {
        return tour::skip("this KVM has no dirty ring");
    }
    must(vm.enable(kvm::cap::dirty_log_ring, bytes));  // before the vCPUs
    must(vm.add_memory(kvm::Slot(0), kvm::Gpa(0), memory, kvm::MemFlag::log_dirty_pages));
    kvm::Vcpu vcpu = must(vm.create_vcpu(kvm::VcpuId(0)));
    auto ring = must(kvm::DirtyRing::map(vcpu, bytes));
    tour::load(vcpu, memory, code);

    // A full ring ends run() with exit::DirtyRingFull; this guest fills none.
    if (must(vcpu.run()).reason() != kvm::ExitReason::hlt) {
        return 1;
    }
    std::vector<kvm::u64> written;
    ring.harvest([&](kvm::DirtyRing::Page page) { written.push_back(page.offset); });
    must(vm.reset_dirty_rings());  // the pages are watched anew: copy them after this
    for (const kvm::u64 page : written) {
        std::printf("the guest wrote page %lu\n", page);
    }
    return written.size() >= 2 && written.back() == 3 ? 0 : 1;
}

int main() { return tour::run(step); }
