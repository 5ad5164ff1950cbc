/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Reads 1, 2 and 4 bytes from ports 0x10, 0x12, 0x14 into rbx, rcx, rdx. Long mode. Exits: IoIn
 * three times, Hlt.
 */
#include "guest.inc"

GUEST in, 64
    mov     $-1, %rax
    in      $0x10, %al
    mov     %rax, %rbx
    mov     $-1, %rax
    in      $0x12, %ax
    mov     %rax, %rcx
    mov     $-1, %rax
    in      $0x14, %eax
    mov     %rax, %rdx
    hlt
END_GUEST
