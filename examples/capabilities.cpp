// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What this host's KVM can do, by name. Without exceptions: Results, plainly.

#include <cstdio>
#include <kvm/kvm.hpp>
#include <kvm/try.hpp>

kvm::Result<int> list() {
    const kvm::Kvm kvm = KVM_TRY(kvm::Kvm::open());
    int found = 0;
    for (const auto& capability : kvm::cap::all) {
        if (const int value = KVM_TRY(kvm.check_extension(capability.number))) {
            std::printf("%-32s %d\n", capability.name, value);
            ++found;
        }
    }
    // A capability has a type: a count, a truth value, or flags.
    const int slots = KVM_TRY(kvm.check(kvm::cap::nr_memslots));
    const bool irqchip = KVM_TRY(kvm.check(kvm::cap::irqchip));
    const kvm::Flags<kvm::VmTypeBit> types = KVM_TRY(kvm.check(kvm::cap::vm_types));
    std::printf("%d slots, %s interrupt controllers, types of VM: %#x\n", slots,
                irqchip ? "with" : "without", types.bits());
    return found;
}

int main() {
    const auto found = list();
    if (!found) {
        char text[256];
        std::fprintf(stderr, "%s\n", kvm::describe(found.error(), text, sizeof text));
        return 77;  // CTest takes it as skipped
    }
    std::printf("%d of the %zu that this library knows\n", *found, std::size(kvm::cap::all));
    return *found > 0 ? 0 : 1;
}
