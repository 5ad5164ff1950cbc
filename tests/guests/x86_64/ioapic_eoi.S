/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Switches its local APIC on and waits; each interrupt's handler acknowledges it. Long mode, split
 * irqchip.
 * Exits: IoOut of 'r' to port 0x80 (ready); for each level-triggered interrupt IoapicEoi, IoOut of
 * 'i'.
 */
#include "guest.inc"

GUEST ioapic_eoi, 64
    mov     $0xfee00000, %edi
    movl    $0x1ff, 0xf0(%rdi)
    mov     $'r', %al
    out     %al, $0x80
    sti
1:  hlt
    jmp     1b
LABEL interrupt
    mov     $0xfee00000, %edi
    movl    $0, 0xb0(%rdi)
    mov     $'i', %al
    out     %al, $0x80
    iretq
END_GUEST
