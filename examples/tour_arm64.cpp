// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The same on arm64: a target and features instead of modes, registers by id, power-off by PSCI.

#include "tour.hpp"

#include <kvm/aarch64/one_reg.hpp>

constexpr unsigned code[] = {
    0xd2a12001,  // movz x1, #0x900, lsl 16
    0x39000020,  // strb w0, [x1]             there is no memory: MMIO
    0x52800100,  // movz w0, #8
    0x72b08000,  // movk w0, #0x8400, lsl 16  SYSTEM_OFF
    0xd4000002,  // hvc #0
};

alignas(65536) std::byte memory[65536];

int step(const kvm::Kvm& kvm) {
    namespace arm = kvm::aarch64;
    const kvm::Vm vm = must(kvm.create_vm());
    must(vm.add_memory(kvm::Slot(0), kvm::Gpa(0), memory));
    std::memcpy(memory, code, sizeof code);

    kvm::Vcpu vcpu = must(vm.create_vcpu(kvm::VcpuId(0)));
    kvm::VcpuInit init = must(vm.preferred_target());
    init.set(kvm::VcpuFeature::psci_0_2);
    must(vcpu.init(init));  // also what resets it

    // A register's id knows how wide it is: one_reg() of x() is a u64, of fpsr a u32.
    must(vcpu.set_one_reg(arm::pc, 0));
    must(vcpu.set_one_reg(arm::x(0), 42));
    const kvm::RegIdList all = must(vcpu.reg_list());
    std::printf("%zu registers, mpidr %#lx\n", all.size(), must(vcpu.one_reg(arm::mpidr_el1)));

    bool stored = false;
    for (;;) {
        const int done =
            must(vcpu.run())
                .visit(kvm::handlers{
                    [&](const kvm::exit::MmioWrite& write) {
                        std::printf("the guest stored %d at %#lx\n", int(write.data[0]),
                                    write.address.value());
                        stored = write.data[0] == std::byte{42};
                        return -1;
                    },
                    [&](const kvm::exit::SystemEvent& event) {
                        return event.type == kvm::exit::SystemEventType::shutdown && stored ? 0 : 1;
                    },
                    [](const auto&) { return 1; },
                });
        if (done >= 0) {
            return done;
        }
    }
}

int main() { return tour::run(step); }
