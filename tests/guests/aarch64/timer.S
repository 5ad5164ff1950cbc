/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Sets one timer: x0 0 or 1 the virtual one, by its comparison or by how long from now on, 2 or 3 the
 * physical one; to x1 ticks from now on; then waits. The handler switches the timer off, and writes to x9 the
 * interrupt, to x9 + 8 by how many ticks it came after its time. Exits: MmioWrite.
 */
#include "guest.inc"

GUEST timer
    b       1f
    .balign 2048
LABEL vectors
    .skip   0x280
    mrs     x10, s3_0_c12_c12_0     /* ICC_IAR1_EL1 */
    tbnz    x0, #1, 2f
    mrs     x11, cntvct_el0
    msr     cntv_ctl_el0, xzr
    b       3f
2:  mrs     x11, cntpct_el0
    msr     cntp_ctl_el0, xzr
3:  isb
    msr     s3_0_c12_c12_1, x10     /* ICC_EOIR1_EL1 */
    str     x10, [x9]
    sub     x11, x11, x12
    str     x11, [x9, #8]
    eret
    .balign 2048
1:  adr     x10, guest_timer_vectors
    msr     vbar_el1, x10
    mov     x13, #1
    isb
    tbnz    x0, #1, 5f
    mrs     x12, cntvct_el0
    add     x12, x12, x1
    tbnz    x0, #0, 4f
    msr     cntv_cval_el0, x12
    b       8f
4:  msr     cntv_tval_el0, x1
8:  msr     cntv_ctl_el0, x13
    b       7f
5:  mrs     x12, cntpct_el0
    add     x12, x12, x1
    tbnz    x0, #0, 6f
    msr     cntp_cval_el0, x12
    b       9f
6:  msr     cntp_tval_el0, x1
9:  msr     cntp_ctl_el0, x13
7:  isb
    msr     daifclr, #2
    wfi
    b       7b
END_GUEST
