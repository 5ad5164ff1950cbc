// SPDX-License-Identifier: Apache-2.0 OR MIT
// What owns a thing of the kernel's moves, and does not copy.
// expect: deleted
// expect: deleted
// expect: deleted
// expect: deleted
// expect: deleted
// expect: deleted
// expect: deleted
// expect: deleted
#include <kvm/kvm.hpp>

template <class T>
T passed_on(T& owner) {
    return T(static_cast<T&&>(owner));
}
#if MISUSE == 0
template kvm::Vm passed_on(kvm::Vm&);
template kvm::Kick passed_on(kvm::Kick&);
#else
#if MISUSE == 1
using Owner = kvm::Kvm;
#elif MISUSE == 2
using Owner = kvm::Vm;
#elif MISUSE == 3
using Owner = kvm::Vcpu;
#elif MISUSE == 4
using Owner = kvm::Exit;
#elif MISUSE == 5
using Owner = kvm::Fd;
#elif MISUSE == 6
using Owner = kvm::Memslot;
#elif MISUSE == 7
using Owner = kvm::EventFd;
#elif MISUSE == 8
using Owner = kvm::CpuidList;
#endif
Owner copy(Owner& owner) { return Owner(owner); }
#endif
