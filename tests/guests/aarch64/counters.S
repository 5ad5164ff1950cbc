/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Writes the virtual timer's registers to x9: its count, comparison, control. Exits: MmioWrite of 8 bytes. */
#include "guest.inc"

GUEST counters
1:  isb
    mrs     x0, cntvct_el0
    str     x0, [x9]
    mrs     x0, cntv_cval_el0
    str     x0, [x9]
    mrs     x0, cntv_ctl_el0
    str     x0, [x9]
    b       1b
END_GUEST
