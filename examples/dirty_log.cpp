// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Which pages a guest wrote: what live migration and snapshots begin with.

#include <bit>
#include <cstdio>
#include <cstring>
#include <kvm/kvm.hpp>
#include <kvm/throw.hpp>
#include <vector>

constexpr unsigned char code[] = {
    0xc6, 0x06, 0x00, 0x30, 0x01,  // mov byte [0x3000], 1
    0xc6, 0x06, 0x34, 0x52, 0x02,  // mov byte [0x5234], 2
    0xf4,                          // hlt
};

alignas(4096) std::byte memory[16 * 4096];

int log(const kvm::Kvm& kvm) {
    const kvm::Vm vm = must(kvm.create_vm());
    const kvm::Memslot slot =
        must(vm.add_memory(kvm::Slot(0), kvm::Gpa(0), memory, kvm::MemFlag::log_dirty_pages));
    kvm::Vcpu vcpu = must(vm.create_vcpu(kvm::VcpuId(0)));
    std::memcpy(memory + 0x1000, code, sizeof code);

    kvm::Sregs sregs = must(vcpu.sregs());
    sregs.cs.base = sregs.cs.selector = 0;
    must(vcpu.set_sregs(sregs));
    kvm::Regs regs{};
    regs.rip = 0x1000, regs.rflags = 2;
    must(vcpu.set_regs(regs));
    if (must(vcpu.run()).reason() != kvm::ExitReason::hlt) {
        return 1;
    }

    // The token knows how long the bitmap must be; a shorter one is an Error.
    std::vector<kvm::u64> bitmap(slot.bitmap_words());
    must(vm.dirty_log(slot, bitmap));
    for (kvm::u64 bits = bitmap[0]; bits != 0; bits &= bits - 1) {
        const kvm::Gpa page = slot.address() + kvm::u64(std::countr_zero(bits)) * 4096;
        std::printf("the guest wrote the page at %#lx\n", page.value());
    }
    return bitmap[0] == (1 << 3 | 1 << 5) ? 0 : 1;
}

int main() try {
    const auto kvm = kvm::Kvm::open();
    if (!kvm) {
        std::puts(kvm::explain(kvm.error()));
        return 77;  // CTest takes it as skipped
    }
    return log(*kvm);
} catch (const kvm::Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
}
