/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Has interrupts disabled, writes 'd' to port 0x80, then enables them and goes round: a window for
 * interrupts is open from there on. Long mode.
 * Exits: IoOut; IrqWindowOpen where that was asked for; IoOut of 'i' for each interrupt.
 */
#include "guest.inc"

GUEST window, 64
    mov     $'d', %al
    out     %al, $0x80
    sti
1:  nop
    jmp     1b
LABEL interrupt
    mov     $'i', %al
    out     %al, $0x80
    iretq
END_GUEST
