/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Writes al into each of rcx pages from rdi on. Long mode. Exits: Hlt, or a full dirty ring. */
#include "guest.inc"

GUEST touch, 64
1:  mov     %al, (%rdi)
    add     $0x1000, %rdi
    dec     %rcx
    jnz     1b
    hlt
END_GUEST
