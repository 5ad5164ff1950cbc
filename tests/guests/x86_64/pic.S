/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Programs the PICs (vectors 0x20 and 0x28, all lines but 4 masked), tells port 0xe0 that it is ready,
 * and halts with interrupts enabled; for each interrupt of line 4 it writes 4 to port 0xe4.
 * Real mode.
 */
#include "guest.inc"

GUEST pic, 16
    cli
    xor     %ax, %ax
    mov     %ax, %ds
    movw    $AT(handler), 0x24 * 4
    movw    %ax, 0x24 * 4 + 2
    mov     $0x11, %al          /* ICW1: edge, cascade, ICW4 follows */
    out     %al, $0x20
    out     %al, $0xa0
    mov     $0x20, %al          /* ICW2: vectors */
    out     %al, $0x21
    mov     $0x28, %al
    out     %al, $0xa1
    mov     $4, %al             /* ICW3: the slave is on line 2 */
    out     %al, $0x21
    mov     $2, %al
    out     %al, $0xa1
    mov     $1, %al             /* ICW4: 8086 */
    out     %al, $0x21
    out     %al, $0xa1
    mov     $0xef, %al          /* OCW1: line 4 only */
    out     %al, $0x21
    mov     $0xff, %al
    out     %al, $0xa1
    out     %al, $0xe0
    sti
1:  hlt
    jmp     1b
handler:
    mov     $4, %al
    out     %al, $0xe4
    mov     $0x20, %al          /* OCW2: end of interrupt */
    out     %al, $0x20
    iret
END_GUEST
