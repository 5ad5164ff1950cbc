// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A time limit for a guest that never exits: another thread stops it.

#include <chrono>
#include <cstdio>
#include <cstring>
#include <kvm/kvm.hpp>
#include <kvm/throw.hpp>
#include <thread>

constexpr unsigned char code[] = {0xeb, 0xfe};  // jmp to itself

alignas(4096) std::byte memory[0x1000];

int limit(const kvm::Kvm& kvm) {
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

int main() try {
    const auto kvm = kvm::Kvm::open();
    if (!kvm) {
        std::puts(kvm::explain(kvm.error()));
        return 77;  // CTest takes it as skipped
    }
    return limit(*kvm);
} catch (const kvm::Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
}
