// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A vCPU that goes on in another VM: what to save, and in which order to restore it.

#include "tour_x86_64.hpp"

constexpr unsigned char code[] = {0x40, 0xe6, 0x10, 0xeb, 0xfb};  // inc ax; out 0x10, al; jmp back

alignas(4096) std::byte here[0x4000], there[0x4000];
constexpr kvm::u32 saved_msrs[] = {0x277, 0xc0000081, 0xc0000102};  // of msr_index_list()

int next(kvm::Vcpu& vcpu) {
    return must(vcpu.run())
        .visit(kvm::handlers{
            [](const kvm::exit::IoOut& out) { return int(out.data[0]); },
            [](const auto&) { return -1; },
        });
}

void copy(const kvm::Vm& from_vm, kvm::Vcpu& from, const kvm::Vm& to_vm, kvm::Vcpu& to) {
    // The last exit's reply is still to be taken: a state saved before that would repeat the `out`.
    while (must(from.complete_pending_io()).reason() != kvm::ExitReason::intr) {
    }
    must(to.set_cpuid2(must(from.cpuid2())));  // first: the others are checked against it
    must(to.set_sregs(must(from.sregs())));
    must(to.set_regs(must(from.regs())));
    must(to.set_xcrs(must(from.xcrs())));  // before the area that XCR0 gives a meaning
    must(to.set_xsave2(to_vm, must(from.xsave2(from_vm))));
    must(to.set_debugregs(must(from.debugregs())));
    for (const kvm::u32 index : saved_msrs) {
        must(to.set_msr(index, must(from.msr(index))));
    }
    must(to.set_mp_state(must(from.mp_state())));
    must(to.set_vcpu_events(must(from.vcpu_events())));  // last: set_regs() drops what is pending
}

int step(const kvm::Kvm& kvm) {
    const kvm::Vm old_vm = must(kvm.create_vm()), new_vm = must(kvm.create_vm());
    if (must(old_vm.check(kvm::cap::xsave2)) == 0) {
        return tour::skip("this KVM has no KVM_GET_XSAVE2: save xsave() there");
    }
    must(old_vm.add_memory(kvm::Slot(0), kvm::Gpa(0), here));
    must(new_vm.add_memory(kvm::Slot(0), kvm::Gpa(0), there));
    kvm::Vcpu old_vcpu = must(old_vm.create_vcpu(kvm::VcpuId(0)));
    kvm::Vcpu new_vcpu = must(new_vm.create_vcpu(kvm::VcpuId(0)));
    must(old_vcpu.set_cpuid2(must(kvm.supported_cpuid())));
    tour::load(old_vcpu, here, code);

    const bool counted = next(old_vcpu) == 1 && next(old_vcpu) == 2;
    copy(old_vm, old_vcpu, new_vm, new_vcpu);
    std::memcpy(there, here, sizeof here);
    const int then = next(new_vcpu);
    std::printf("after 2 the other VM said %d\n", then);
    return counted && then == 3 ? 0 : 1;
}

int main() { return tour::run(step); }
