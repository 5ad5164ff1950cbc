// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Opening KVM, asking what it can do, and three ways to treat an error.

#include "tour.hpp"

#include <cerrno>
#include <kvm/try.hpp>

// Plainly: a Result is a std::expected that may not be ignored.
bool opens() {
    const auto kvm = kvm::Kvm::open();
    if (!kvm) {
        const kvm::Error& error = kvm.error();  // .what "open /dev/kvm", .code EACCES, .detail
        std::puts(kvm::explain(error));         // "this user may not use KVM: join group kvm, ..."
        return false;
    }
    return true;
}

// With KVM_TRY: the value, or a return of the error.
kvm::Result<int> memory_slots() {
    const kvm::Kvm kvm = KVM_TRY(kvm::Kvm::open());
    return KVM_TRY(kvm.check(kvm::cap::nr_memslots));
}

int step(const kvm::Kvm& kvm) {
    // With must(): the value, or a thrown kvm::Failure.
    const kvm::Vm vm = must(kvm.create_vm());

    // A capability answers in its own type, on /dev/kvm or for one VM.
    const bool irqchip = must(vm.check(kvm::cap::irqchip));
    const int vcpus = must(vm.check(kvm::cap::max_vcpus));
    const kvm::Flags<kvm::VmTypeBit> types = must(kvm.check(kvm::cap::vm_types));
    std::printf("irqchip %d, at most %d vCPUs, SNP %d\n", irqchip, vcpus,
                types.has(kvm::VmTypeBit::snp_vm));

    // What can be enabled says with what, and on which object.
    if (must(vm.check(kvm::cap::split_irqchip))) {
        must(vm.enable(kvm::cap::split_irqchip, 24));
    }

    // An error of the kernel is an Error, and never a plausible number.
    const auto missing = kvm::Kvm::open("/dev/null");
    return opens() && must(memory_slots()) > 0 && missing.error().code == ENOTTY ? 0 : 1;
}

int main() { return tour::run(step); }
