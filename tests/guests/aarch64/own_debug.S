/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Debugs itself: a BRK, a breakpoint at `broken`, a watchpoint on x1, three single steps. The handler writes to
 * x9 the exception's class, to x9 + 8 the instruction's address and to x9 + 16 FAR_EL1, and has what was
 * hit not hit again. Exits: MmioWrite, SystemEvent.
 */
#include "guest.inc"

GUEST own_debug
    b       1f
    .balign 2048
LABEL vectors
    .skip   0x200                   /* a synchronous exception while in EL1 with its own stack */
    mrs     x10, esr_el1
    lsr     x10, x10, #26
    mrs     x11, elr_el1
    mrs     x12, far_el1
    str     x10, [x9]
    str     x11, [x9, #8]
    str     x12, [x9, #16]
    cmp     x10, #0x3c              /* BRK: the next instruction */
    b.ne    2f
    add     x11, x11, #4
    msr     elr_el1, x11
    b       9f
2:  cmp     x10, #0x31
    b.ne    3f
    msr     dbgbcr0_el1, xzr
    b       9f
3:  cmp     x10, #0x35
    b.ne    4f
    msr     dbgwcr0_el1, xzr
    b       9f
4:  subs    x5, x5, #1              /* a step: some more, as SPSR.SS says */
    mrs     x12, spsr_el1
    orr     x12, x12, #(1 << 21)
    msr     spsr_el1, x12
    b.ne    9f
    bic     x12, x12, #(1 << 21)
    msr     spsr_el1, x12
    mrs     x12, mdscr_el1
    bic     x12, x12, #1
    msr     mdscr_el1, x12
9:  isb
    eret
    .balign 2048
1:  adr     x10, guest_own_debug_vectors
    msr     vbar_el1, x10
    msr     oslar_el1, xzr
    isb
    msr     daifclr, #8
LABEL brk
    brk     #7
    adr     x10, guest_own_debug_broken
    msr     dbgbvr0_el1, x10
    mov     x10, #(1 | 1 << 1 | 0xf << 5)               /* enabled, at EL1, four bytes */
    msr     dbgbcr0_el1, x10
    msr     dbgwvr0_el1, x1
    mov     x10, #(1 | 1 << 1 | 2 << 3 | 0xff << 5)     /* enabled, at EL1, stores, eight bytes */
    msr     dbgwcr0_el1, x10
    mov     x10, #(1 << 15 | 1 << 13)                   /* MDSCR_EL1: MDE, KDE */
    msr     mdscr_el1, x10
    isb
LABEL broken
    nop
LABEL watched
    str     xzr, [x1]
    msr     daifset, #8             /* or the steps would begin at once */
    mov     x5, #3
    mov     x10, #(1 << 15 | 1 << 13 | 1)               /* and SS */
    msr     mdscr_el1, x10
    mov     x10, #0x1c5                                 /* EL1h, D clear */
    orr     x10, x10, #(1 << 21)                        /* and SS */
    msr     spsr_el1, x10
    adr     x10, guest_own_debug_stepped
    msr     elr_el1, x10
    isb
    eret
LABEL stepped
    nop
    nop
    nop
    nop
    POWER_OFF
END_GUEST
