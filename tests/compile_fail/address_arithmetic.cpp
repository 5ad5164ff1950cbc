// SPDX-License-Identifier: Apache-2.0 OR MIT
// Addresses are not added to each other, nor mixed across address spaces.
// expect: {mismatch}
// expect: {mismatch}
// expect: {mismatch}
#include <kvm/types.hpp>

std::uint64_t use(kvm::Gpa a, kvm::Gpa b, kvm::Gva v) {
#if MISUSE == 1
    return (a + b).value();
#elif MISUSE == 2
    return a - v;
#elif MISUSE == 3
    return a < 0x1000u;
#else
    return (a + (b - a)).value() + v.value();
#endif
}
