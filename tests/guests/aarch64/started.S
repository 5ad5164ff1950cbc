/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Started by PSCI with x0: writes MPIDR_EL1 to x0, then calls PSCI's CPU_OFF. Exits: MmioWrite. */
#include "guest.inc"

GUEST started
    mrs     x1, mpidr_el1
    str     x1, [x0]
    movz    w0, #0x0002
    movk    w0, #0x8400, lsl #16
    hvc     #0
1:  b       1b
END_GUEST
