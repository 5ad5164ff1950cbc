/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Enables one SPI or PPI, w4, of a GICv3 with its distributor at x1 and the redistributor at x2, and
 * interrupts; writes 0 to x9; waits; writes the number of each interrupt that comes to x9 and has it
 * end. Exits: MmioWrite.
 */
#include "guest.inc"

GUEST irq
    b       1f
    .balign 2048
LABEL vectors
    .skip   0x280
    mrs     x10, s3_0_c12_c12_0     /* ICC_IAR1_EL1 */
    str     x10, [x9]
    msr     s3_0_c12_c12_1, x10     /* ICC_EOIR1_EL1 */
    eret
    .balign 2048
1:  adr     x10, guest_irq_vectors
    msr     vbar_el1, x10
    mov     w10, #0x12              /* GICD_CTLR: ARE_NS, EnableGrp1A */
    str     w10, [x1]
    lsr     w11, w4, #5             /* the word and the bit of the interrupt */
    lsl     w11, w11, #2
    and     w12, w4, #31
    mov     w13, #1
    lsl     w13, w13, w12
    mov     x14, x1
    cmp     w4, #32
    b.hs    2f
    add     x14, x2, #0x10, lsl #12 /* private ones are in the redistributor's second frame */
2:  add     x14, x14, x11
    str     w13, [x14, #0x80]       /* IGROUPR */
    str     w13, [x14, #0x100]      /* ISENABLER */
    mov     x10, #1
    msr     s3_0_c12_c12_5, x10     /* ICC_SRE_EL1 */
    isb
    mov     x10, #0xff
    msr     s3_0_c4_c6_0, x10       /* ICC_PMR_EL1 */
    mov     x10, #1
    msr     s3_0_c12_c12_7, x10     /* ICC_IGRPEN1_EL1 */
    isb
    msr     daifclr, #2
    str     xzr, [x9]
3:  wfi
    b       3b
END_GUEST
