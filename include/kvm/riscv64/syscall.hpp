// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/generic_syscall.hpp>

/// System calls of riscv64 Linux, inline: glibc's ioctl() costs more than KVM_RUN's own
/// instructions.
namespace kvm::riscv64 {

using generic::Nr;
using enum generic::Nr;

/// Up to six arguments; what is left out is 0.
[[gnu::always_inline]] inline long syscall6(long nr, long a = 0, long b = 0, long c = 0, long d = 0,
                                            long e = 0, long f = 0) {
    register long number asm("a7") = nr;
    register long a0 asm("a0") = a;
    register long a1 asm("a1") = b;
    register long a2 asm("a2") = c;
    register long a3 asm("a3") = d;
    register long a4 asm("a4") = e;
    register long a5 asm("a5") = f;
    asm volatile("ecall"
                 : "+r"(a0)
                 : "r"(number), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5)
                 : "memory");
    return a0;
}

[[gnu::always_inline]] inline long syscall1(long nr, long a = 0) {
    register long number asm("a7") = nr;
    register long a0 asm("a0") = a;
    asm volatile("ecall" : "+r"(a0) : "r"(number) : "memory");
    return a0;
}

[[gnu::always_inline]] inline long syscall2(long nr, long a, long b) {
    register long number asm("a7") = nr;
    register long a0 asm("a0") = a;
    register long a1 asm("a1") = b;
    asm volatile("ecall" : "+r"(a0) : "r"(number), "r"(a1) : "memory");
    return a0;
}

[[gnu::always_inline]] inline long syscall3(long nr, long a, long b, long c) {
    register long number asm("a7") = nr;
    register long a0 asm("a0") = a;
    register long a1 asm("a1") = b;
    register long a2 asm("a2") = c;
    asm volatile("ecall" : "+r"(a0) : "r"(number), "r"(a1), "r"(a2) : "memory");
    return a0;
}

}  // namespace kvm::riscv64
