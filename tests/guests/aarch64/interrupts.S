/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Takes interrupts of a GICv3, which the VMM has set up: interrupts.inc. Sends x6 as an SGI unless it is 0. */
#include "interrupts.inc"

.macro ACKNOWLEDGE register
    mrs     \register, s3_0_c12_c12_0   /* ICC_IAR1_EL1 */
.endm
.macro END register
    msr     s3_0_c12_c12_1, \register   /* ICC_EOIR1_EL1 */
.endm
.macro BEGIN
    cbz     x6, 3f
    msr     s3_0_c12_c11_5, x6          /* ICC_SGI1R_EL1 */
3:
.endm
INTERRUPTS interrupts
