// SPDX-License-Identifier: Apache-2.0 OR MIT
// A descriptor is no truth value and no number.
// expect: deleted
// expect: {mismatch}
// expect: {mismatch}
#include <kvm/kvm.hpp>

int use(const kvm::Fd& fd) {
#if MISUSE == 1
    return fd ? 1 : 0;
#elif MISUSE == 2
    const int number = fd;
    return number;
#elif MISUSE == 3
    const kvm::FdRef ref = 3;
    return ref.number();
#else
    return fd.valid() ? fd.number() : 0;
#endif
}
