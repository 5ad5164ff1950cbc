// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// MSRs that the VMM answers for: a filter keeps the guest out, an exit asks us.

#include "tour_x86_64.hpp"

constexpr unsigned char code[] = {
    0x66, 0xb9, 0x8b, 0, 0, 0,  // mov ecx, 0x8b   the microcode's revision
    0x0f, 0x32,                 // rdmsr
    0xe6, 0x10,                 // out 0x10, al
};

alignas(4096) std::byte memory[0x4000];

int step(const kvm::Kvm& kvm) {
    const kvm::Vm vm = must(kvm.create_vm());
    if (!must(vm.check(kvm::cap::x86_msr_filter)) ||
        !must(vm.check(kvm::cap::x86_user_space_msr))) {
        return tour::skip("this KVM has no MSR filter");
    }
    // All MSRs as ever, but for reads of 0x8b: bit 0 of the bitmap, which is 64-bit words, denies
    // it.
    const kvm::u8 denied[8] = {};
    const kvm::MsrRange ranges[] = {{kvm::MsrFilterFlag::read, 0x8b, 1, denied}};
    must(vm.set_msr_filter(kvm::MsrFilterDefault::allow, ranges));
    // What the filter denies exits instead of faulting in the guest.
    must(vm.enable(kvm::cap::x86_user_space_msr, kvm::MsrExitReason::filter));
    must(vm.add_memory(kvm::Slot(0), kvm::Gpa(0), memory));
    kvm::Vcpu vcpu = must(vm.create_vcpu(kvm::VcpuId(0)));
    tour::load(vcpu, memory, code);

    for (;;) {
        const int done = must(vcpu.run())
                             .visit(kvm::handlers{
                                 [](const kvm::exit::Rdmsr& read) {
                                     std::printf("the guest reads MSR %#x\n", read.index);
                                     read.data = 42;  // or read.error = 1, and the guest gets #GP
                                     return -1;
                                 },
                                 [](const kvm::exit::IoOut& out) {
                                     return out.data[0] == std::byte{42} ? 0 : 1;
                                 },
                                 [](const auto&) { return 1; },
                             });
        if (done >= 0) {
            return done;
        }
    }
}

int main() { return tour::run(step); }
