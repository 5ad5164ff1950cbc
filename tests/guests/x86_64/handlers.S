/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Halts for ever with interrupts enabled; what is injected runs a handler, which writes to port
 * 0x80 and returns. Long mode. Exits: Hlt; for each event IoOut of its byte, then Hlt again.
 */
#include "guest.inc"

GUEST handlers, 64
    sti
1:  hlt
    jmp     1b
LABEL nmi
    mov     $'n', %al
    out     %al, $0x80
    iretq
LABEL interrupt
    mov     $'i', %al
    out     %al, $0x80
    iretq
LABEL exception
    mov     $'x', %al
    out     %al, $0x80
    iretq
END_GUEST
