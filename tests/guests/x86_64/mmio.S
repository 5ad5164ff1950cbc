/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Writes rax to rdi with each size, then reads each size from rsi into r8, r9, r10, r11. Long mode.
 * Exits: MmioWrite of 1, 2, 4, 8 bytes, MmioRead of 1, 2, 4, 8 bytes, Hlt.
 */
#include "guest.inc"

GUEST mmio, 64
    mov     %al, (%rdi)
    mov     %ax, (%rdi)
    mov     %eax, (%rdi)
    mov     %rax, (%rdi)
    mov     $-1, %r8
    mov     %r8, %r9
    mov     %r8, %r10
    mov     %r8, %r11
    mov     (%rsi), %r8b
    mov     (%rsi), %r9w
    mov     (%rsi), %r10d
    mov     (%rsi), %r11
    hlt
END_GUEST
