// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Follows a guest instruction by instruction.

#include <cstdio>
#include <cstring>
#include <kvm/kvm.hpp>
#include <kvm/throw.hpp>

constexpr unsigned char code[] = {
    0xb9, 0x03, 0x00,  // mov cx, 3
    0x01, 0xc8,        // add ax, cx
    0xe2, 0xfc,        // loop to the add
    0xf4,              // hlt
};

alignas(4096) std::byte memory[0x1000];

int follow(const kvm::Kvm& kvm) {
    const kvm::Vm vm = must(kvm.create_vm());
    must(vm.add_memory(kvm::Slot(0), kvm::Gpa(0x1000), memory));
    kvm::Vcpu vcpu = must(vm.create_vcpu(kvm::VcpuId(0)));
    std::memcpy(memory, code, sizeof code);

    kvm::Sregs sregs = must(vcpu.sregs());
    sregs.cs.base = sregs.cs.selector = 0;
    must(vcpu.set_sregs(sregs));
    kvm::Regs regs{};
    regs.rip = 0x1000, regs.rflags = 2;
    must(vcpu.set_regs(regs));
    kvm::GuestDebug debug{};
    debug.control = (kvm::GuestDebugFlag::enable | kvm::GuestDebugFlag::singlestep).bits();
    must(vcpu.set_guest_debug(debug));

    kvm::Regs now{};
    for (bool stepped = true; stepped && now.rip != 0x1000 + sizeof code - 1;) {
        const kvm::Exit exit = must(vcpu.run());
        stepped = exit.visit(kvm::handlers{
            [&](const kvm::exit::Debug&) {
                now = must(vcpu.regs());  // registers may be read while a payload is in use
                std::printf("rip %#lx, ax %lu, cx %lu\n", now.rip, now.rax, now.rcx);
                return true;
            },
            [](const auto&) { return false; },
        });
    }
    return now.rax == 3 + 2 + 1 ? 0 : 1;
}

int main() try {
    const auto kvm = kvm::Kvm::open();
    if (!kvm) {
        std::puts(kvm::explain(kvm.error()));
        return 77;  // CTest takes it as skipped
    }
    return follow(*kvm);
} catch (const kvm::Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
}
