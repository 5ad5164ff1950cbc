/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Takes interrupts of a GICv2 with its CPU interface at x2: interrupts.inc. */
#include "interrupts.inc"

.macro ACKNOWLEDGE register
    ldr     w10, [x2, #0xc]             /* GICC_IAR */
.endm
.macro END register
    str     w10, [x2, #0x10]            /* GICC_EOIR */
.endm
.macro BEGIN
    mov     w10, #0xf0
    str     w10, [x2, #4]               /* GICC_PMR */
    mov     w10, #1
    str     w10, [x2]                   /* GICC_CTLR */
.endm
INTERRUPTS interrupts_v2
