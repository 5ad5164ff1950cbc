// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A vCPU that begins in 64-bit mode: page tables, segments and control registers set from outside.

#include "tour_x86_64.hpp"

constexpr unsigned char code[] = {
    0x48, 0xb8, 0,    0,    0, 0, 0x2a, 0, 0, 0,  // mov rax, 0x2a00000000
    0x48, 0xc1, 0xe8, 0x20,                       // shr rax, 32
    0xe6, 0x10,                                   // out 0x10, al
    0xf4,                                         // hlt
};

alignas(4096) std::byte memory[0x8000];

void put(kvm::u64 address, kvm::u64 value) { std::memcpy(memory + address, &value, sizeof value); }

kvm::Segment flat(kvm::u16 selector, kvm::u8 type) {
    kvm::Segment s{};
    s.limit = ~0u, s.selector = selector, s.type = type;
    s.present = s.s = s.g = 1;
    return s;
}

int step(const kvm::Kvm& kvm) {
    const kvm::Vm vm = must(kvm.create_vm());
    must(vm.add_memory(kvm::Slot(0), kvm::Gpa(0), memory));
    kvm::Vcpu vcpu = must(vm.create_vcpu(kvm::VcpuId(0)));
    must(vcpu.set_cpuid2(
        must(kvm.supported_cpuid())));  // what the guest's CPU can do, long mode too
    tour::load(vcpu, memory, code);

    put(0x2000, 0x3003);  // PML4 -> PDPT, present and writable
    put(0x3000, 0x4003);  // PDPT -> page directory
    put(0x4000, 0x0083);  // the first 2 MiB, one to one
    kvm::Sregs sregs = must(vcpu.sregs());
    sregs.cr3 = 0x2000;
    sregs.cr4 |= 1 << 5;             // PAE
    sregs.cr0 |= 1u << 31 | 1;       // PG, PE
    sregs.efer |= 1 << 10 | 1 << 8;  // LMA, LME
    sregs.cs = flat(8, 0xb);         // execute, read, accessed
    sregs.cs.l = 1;                  // 64-bit
    sregs.ss = flat(16, 0x3);        // read, write, accessed
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss;
    must(vcpu.set_sregs(sregs));  // EINVAL for a combination that no CPU allows

    const kvm::Translation where = must(vcpu.translate(kvm::Gva(0x1000)));
    const kvm::Exit exit = must(vcpu.run());
    return exit.visit(kvm::handlers{
        [&](const kvm::exit::IoOut& out) {
            std::printf("64-bit code said %d\n", int(out.data[0]));
            return out.data[0] == std::byte{42} && where.valid ? 0 : 1;
        },
        [](const auto&) { return 1; },
    });
}

int main() { return tour::run(step); }
