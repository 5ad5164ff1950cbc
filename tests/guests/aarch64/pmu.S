/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Counts the cycles of a loop and writes them to x9, then again. Exits: MmioWrite of 8 bytes. */
#include "guest.inc"

GUEST pmu
    msr     pmccfiltr_el0, xzr
    mov     x10, #(1 << 31)
    msr     pmcntenset_el0, x10
    mov     x10, #(1 << 6 | 1)      /* PMCR_EL0: LC, E */
    msr     pmcr_el0, x10
    isb
1:  mrs     x11, pmccntr_el0
    mov     x12, #20000
2:  subs    x12, x12, #1
    b.ne    2b
    isb
    mrs     x13, pmccntr_el0
    sub     x13, x13, x11
    str     x13, [x9]
    b       1b
END_GUEST
