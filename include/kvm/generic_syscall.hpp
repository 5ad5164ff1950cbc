// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

/// The numbers of system calls that aarch64 and riscv64 share, as every newer architecture does.
namespace kvm::generic {

/// Numbers of asm-generic/unistd.h.
enum Nr : long {
    nr_eventfd2 = 19,
    nr_fcntl = 25,
    nr_ioctl = 29,
    nr_openat = 56,
    nr_close = 57,
    nr_read = 63,
    nr_write = 64,
    nr_pread64 = 67,
    nr_tgkill = 131,
    nr_rt_sigprocmask = 135,
    nr_getpid = 172,
    nr_gettid = 178,
    nr_munmap = 215,
    nr_mmap = 222,
    nr_mbind = 235,
};

}  // namespace kvm::generic
