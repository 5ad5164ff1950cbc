/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The guest's whole user space: say that it is up, then reset. Without libc, so that what is
   measured is the kernel's boot and the VMM. */

static long call4(long nr, long a, long b, long c, long d) {
    long result;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
}

enum {
    nr_write = 1,
    nr_reboot = 169,
    magic1 = 0xfee1dead,
    magic2 = 672274793,
    restart = 0x01234567
};

void _start(void) {
    static const char up[] = "l2: up\n";
    call4(nr_write, 1, (long)up, sizeof up - 1, 0);
    call4(nr_reboot, (unsigned)magic1, magic2, restart, 0);
    for (;;) {
    }
}
