// SPDX-License-Identifier: Apache-2.0 OR MIT
// Flags of different words do not mix, and a number is no flag.
// expect: {mismatch}
// expect: {mismatch}
// matching|conversion from)
#include <kvm/kvm.hpp>

unsigned use() {
#if MISUSE == 1
    const kvm::Flags<kvm::MemFlag> flags = kvm::MemFlag::readonly | kvm::ClockFlag::realtime;
#elif MISUSE == 2
    const kvm::Flags<kvm::MemFlag> flags = 2u;
#else
    const kvm::Flags<kvm::MemFlag> flags = kvm::MemFlag::readonly | kvm::MemFlag::log_dirty_pages;
#endif
    return flags.bits();
}
