// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A doorbell and an interrupt that pass between a guest and a thread, without an exit of the vCPU.

#include "tour_x86_64.hpp"

#include <thread>

constexpr unsigned char code[] = {
    0xe6, 0x80,  // out 0x80, al   the doorbell
    0xfb,        // sti
    0xf4,        // hlt            in the kernel: no exit
};
constexpr unsigned char handler[] = {0xb0, 0x2a, 0xe6, 0x81};  // mov al, 42; out 0x81, al

alignas(4096) std::byte memory[0x4000];

int step(const kvm::Kvm& kvm) {
    const kvm::Vm vm = must(kvm.create_vm());
    must(vm.add_memory(kvm::Slot(0), kvm::Gpa(0), memory));
    must(vm.create_irqchip());  // two PICs, an I/O APIC and local APICs, before the vCPUs
    kvm::Vcpu vcpu = must(vm.create_vcpu(kvm::VcpuId(0)));
    tour::load(vcpu, memory, code);

    // What a guest's firmware does: vectors 0x20 to 0x27, all lines but 4 masked.
    kvm::Irqchip chip = must(vm.irqchip(kvm::IrqchipId::pic_master));
    chip.chip.pic.irq_base = 0x20;
    chip.chip.pic.imr = 0xef;
    must(vm.set_irqchip(chip));
    const unsigned short vector[] = {0x1800, 0};  // offset and segment of the handler of line 4
    std::memcpy(memory + 0x24 * 4, vector, sizeof vector);
    std::memcpy(memory + 0x1800, handler, sizeof handler);

    // A write of one byte, of any value, to port 0x80 signals `doorbell`; `line` raises GSI 4.
    const auto doorbell = must(kvm::EventFd::create());
    const auto line = must(kvm::EventFd::create());
    must(vm.add_ioeventfd(doorbell, kvm::Port(0x80), kvm::Datamatch::length(1)));
    must(vm.add_irqfd(line, kvm::Gsi(4)));

    const std::jthread device([&] {
        must(doorbell.read());  // waits for the guest
        must(line.write());     // and interrupts it
    });
    const kvm::Exit exit = must(vcpu.run());
    return exit.visit(kvm::handlers{
        [](const kvm::exit::IoOut& out) {
            std::printf("the handler said %d\n", int(out.data[0]));
            return out.port == kvm::Port(0x81) ? 0 : 1;
        },
        [](const auto&) { return 1; },
    });
}

int main() { return tour::run(step); }
