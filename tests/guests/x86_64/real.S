/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Real mode: `devices` writes "hi" to port 0x3f8, reads a byte from port 0x3f9, writes it to
 * 0xd000:4 and reads one from 0xd000:5; `interrupt` calls vector 0x40; `limit` reads at DS:0x200;
 * `handler` writes 'h' to port 0x80. Exits: as they say, then Hlt.
 */
#include "guest.inc"

GUEST real, 16
LABEL devices
    mov     $0x3f8, %dx
    mov     $'h', %al
    out     %al, (%dx)
    mov     $'i', %al
    out     %al, (%dx)
    inc     %dx
    in      (%dx), %al
    mov     $0xd000, %bx
    mov     %bx, %ds
    movb    %al, 4
    movb    5, %al
    hlt
LABEL interrupt
    int     $0x40
    hlt
LABEL limit
    movb    0x200, %al
    hlt
LABEL handler
    mov     $'h', %al
    out     %al, $0x80
    iret
END_GUEST
