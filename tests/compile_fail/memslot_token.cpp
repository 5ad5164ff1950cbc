// SPDX-License-Identifier: Apache-2.0 OR MIT
// The dirty log wants a slot's token, and removing memory uses it up.
// expect: {mismatch}
// expect: {mismatch}
// expect: private
#include <kvm/kvm.hpp>
#include <utility>

kvm::Result<void> use(const kvm::Vm& vm, kvm::Memslot& slot, std::span<kvm::u64> bitmap) {
#if MISUSE == 1
    (void)slot;
    return vm.dirty_log(kvm::Slot(0), bitmap);
#elif MISUSE == 2
    (void)bitmap;
    return vm.remove_memory(slot);
#elif MISUSE == 3
    (void)bitmap;
    const kvm::Memslot forged(1, kvm::Slot(0), kvm::Gpa(0), slot.memory(), {});
    return vm.dirty_log(forged, bitmap);
#else
    (void)vm.dirty_log(slot, bitmap);
    return vm.remove_memory(std::move(slot));
#endif
}
