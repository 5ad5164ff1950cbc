// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A time limit for a guest that never exits: another thread stops it.

#include "tour_x86_64.hpp"

#include <chrono>
#include <thread>

constexpr unsigned char code[] = {0xeb, 0xfe};  // jmp to itself

alignas(4096) std::byte memory[0x2000];

int limit(const kvm::Kvm& kvm) {
    const kvm::Vm vm = must(kvm.create_vm());
    must(vm.add_memory(kvm::Slot(0), kvm::Gpa(0), memory));
    kvm::Vcpu vcpu = must(vm.create_vcpu(kvm::VcpuId(0)));
    tour::load(vcpu, memory, code);

    must(kvm::install_kick_handler());  // the library takes no signal behind a program's back
    const kvm::Kick kick = must(vcpu.create_kick());
    const std::jthread watchdog([kick] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        kick();  // before, during or after run(): it is not lost
    });
    const kvm::Exit exit = must(vcpu.run());
    return exit.visit(kvm::handlers{
        [](kvm::exit::Interrupted) {
            std::puts("stopped after 100 ms");
            return 0;
        },
        [](const auto&) { return 1; },
    });
}

int main() { return tour::run(limit); }
