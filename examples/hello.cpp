// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A guest of ten instructions that adds two registers and prints the sum.

#include <cstdio>
#include <cstring>
#include <kvm/kvm.hpp>
#include <kvm/throw.hpp>

constexpr unsigned char code[] = {
    0xba, 0xf8, 0x03,  // mov dx, 0x3f8
    0x00, 0xd8,        // add al, bl
    0x04, '0',         // add al, '0'
    0xee,              // out dx, al
    0xb0, '\n',        // mov al, '\n'
    0xee,              // out dx, al
    0xf4,              // hlt
};

alignas(4096) std::byte memory[0x4000];

void start_in_real_mode(kvm::Vcpu& vcpu) {
    kvm::Sregs sregs = must(vcpu.sregs());
    sregs.cs.base = sregs.cs.selector = 0;
    must(vcpu.set_sregs(sregs));
    kvm::Regs regs{};
    regs.rax = 2, regs.rbx = 3, regs.rip = 0x1000, regs.rflags = 2;
    must(vcpu.set_regs(regs));
}

int run_guest(const kvm::Kvm& kvm) {
    std::memcpy(memory, code, sizeof code);
    const kvm::Vm vm = must(kvm.create_vm());
    must(vm.add_memory(kvm::Slot(0), kvm::Gpa(0x1000), memory));
    kvm::Vcpu vcpu = must(vm.create_vcpu(kvm::VcpuId(0)));
    start_in_real_mode(vcpu);

    for (;;) {
        const kvm::Exit exit = must(vcpu.run());
        const bool more = exit.visit(kvm::handlers{
            [](const kvm::exit::IoOut& io) { return std::putchar(int(io.data[0])) != EOF; },
            [](const auto&) { return false; },
        });
        if (!more) {
            return exit.reason() == kvm::ExitReason::hlt ? 0 : 1;
        }
    }
}

int main() try {
    const auto kvm = kvm::Kvm::open();
    if (!kvm) {
        std::puts(kvm::explain(kvm.error()));
        return 77;  // CTest takes it as skipped
    }
    return run_guest(*kvm);
} catch (const kvm::Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
}
