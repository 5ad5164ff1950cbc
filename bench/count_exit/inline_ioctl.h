/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#pragma once

/* System calls as a C programmer would write them inline: the result is the kernel's, or -errno. */

static inline __attribute__((always_inline)) long inline_syscall3(long nr, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(nr), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

static inline __attribute__((always_inline)) long inline_syscall6(long nr, long a, long b, long c,
                                                                  long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline __attribute__((always_inline)) long inline_ioctl(int fd, unsigned request,
                                                               long argument) {
    return inline_syscall3(16, fd, request, argument);
}
