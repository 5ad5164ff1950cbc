// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

/// System calls of x86_64 Linux, inline: glibc's ioctl() costs 25 instructions more per KVM_RUN.
namespace kvm::x86_64 {

/// Numbers of asm/unistd_64.h.
enum Nr : long {
    nr_read = 0,
    nr_write = 1,
    nr_close = 3,
    nr_mmap = 9,
    nr_munmap = 11,
    nr_rt_sigprocmask = 14,
    nr_ioctl = 16,
    nr_pread64 = 17,
    nr_getpid = 39,
    nr_fcntl = 72,
    nr_gettid = 186,
    nr_tgkill = 234,
    nr_mbind = 237,
    nr_openat = 257,
    nr_eventfd2 = 290,
};

[[gnu::always_inline]] inline long syscall1(long nr, long a) {
    long result;
    asm volatile("syscall" : "=a"(result) : "a"(nr), "D"(a) : "rcx", "r11", "memory");
    return result;
}

[[gnu::always_inline]] inline long syscall2(long nr, long a, long b) {
    long result;
    asm volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
    return result;
}

[[gnu::always_inline]] inline long syscall3(long nr, long a, long b, long c) {
    long result;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(nr), "D"(a), "S"(b), "d"(c)
                 : "rcx", "r11", "memory");
    return result;
}

/// Up to six arguments; what is left out is 0.
[[gnu::always_inline]] inline long syscall6(long nr, long a = 0, long b = 0, long c = 0, long d = 0,
                                            long e = 0, long f = 0) {
    long result;
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

}  // namespace kvm::x86_64
