// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A guest that asks questions: its exits, and the replies.

#include "tour_x86_64.hpp"

#include <string>

constexpr unsigned char code[] = {
    0xe4, 0x10,        // in al, 0x10
    0xa2, 0x00, 0xf0,  // mov [0xf000], al   there is no memory: MMIO
    0xa0, 0x01, 0xf0,  // mov al, [0xf001]
    0xe6, 0x11,        // out 0x11, al
    0xf4,              // hlt
};

alignas(4096) std::byte memory[0x4000];

int step(const kvm::Kvm& kvm) {
    const kvm::Vm vm = must(kvm.create_vm());
    must(vm.add_memory(kvm::Slot(0), kvm::Gpa(0), memory));
    kvm::Vcpu vcpu = must(vm.create_vcpu(kvm::VcpuId(0)));
    tour::load(vcpu, memory, code);

    std::byte stored{};
    std::string said;
    for (bool more = true; more;) {
        const kvm::Exit exit = must(vcpu.run());
        more = exit.visit(kvm::handlers{
            [](const kvm::exit::IoIn& in) {
                in.data[0] = std::byte{'a'};  // filling the data is the reply
                return true;
            },
            [&](const kvm::exit::MmioWrite& write) {
                stored = write.data[0];  // its bytes are const: no reply is due
                return true;
            },
            [&](const kvm::exit::MmioRead& read) {
                read.data[0] = std::byte(char(stored) + 1);
                return true;
            },
            [&](const kvm::exit::IoOut& out) {
                const auto regs = must(vcpu.regs());  // registers may be read meanwhile
                said += char(out.data[0]);
                return regs.rip > 0x1000;
            },
            [](kvm::exit::Hlt) { return false; },
            [](const auto&) { return false; },  // without this arm, all 48 must be there
        });
    }
    std::printf("the guest said: %s\n", said.c_str());
    return said == "b" ? 0 : 1;
}

int main() { return tour::run(step); }
