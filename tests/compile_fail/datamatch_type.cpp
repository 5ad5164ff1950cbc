// SPDX-License-Identifier: Apache-2.0 OR MIT
// A datamatch is as long as its type, so the type must be one that has a length on every compiler.
// expect: {mismatch}
// expect: {mismatch}
// expect: {mismatch}
#include <kvm/memslot.hpp>

kvm::Datamatch use() {
#if MISUSE == 1
    return kvm::Datamatch::value(true);
#elif MISUSE == 2
    return kvm::Datamatch::value('c');
#elif MISUSE == 3
    return kvm::Datamatch::value(1);
#else
    return kvm::Datamatch::value(std::uint16_t{1});
#endif
}
