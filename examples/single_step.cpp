// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Follows a guest instruction by instruction.

#include "tour_x86_64.hpp"

constexpr unsigned char code[] = {
    0xb9, 0x03, 0x00,  // mov cx, 3
    0x01, 0xc8,        // add ax, cx
    0xe2, 0xfc,        // loop to the add
    0xf4,              // hlt
};

alignas(4096) std::byte memory[0x2000];

int follow(const kvm::Kvm& kvm) {
    const kvm::Vm vm = must(kvm.create_vm());
    must(vm.add_memory(kvm::Slot(0), kvm::Gpa(0), memory));
    kvm::Vcpu vcpu = must(vm.create_vcpu(kvm::VcpuId(0)));
    tour::load(vcpu, memory, code);
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

int main() { return tour::run(follow); }
