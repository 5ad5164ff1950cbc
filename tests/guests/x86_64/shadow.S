/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * An instruction in the shadow of STI, and one in that of MOV SS, in which no interrupt may come.
 * Exits: IoOut of 's' in the first, 'm' in the second, 'e' after each.
 */
#include "guest.inc"

GUEST shadow, 64
    mov     $'s', %al
    sti
    out     %al, $0x80
    nop
    mov     $'e', %al
    out     %al, $0x80
LABEL stack
    sti
    nop
    mov     %ss, %bx
    mov     $'m', %al
    mov     %bx, %ss
    out     %al, $0x80
    nop
    mov     $'e', %al
    out     %al, $0x80
    hlt
END_GUEST
