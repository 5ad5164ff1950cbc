/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Writes w0 to each of x2 pages from x1 on, then x2 to x3; then goes on where x1 is, for x2 pages.
 * Exits: MmioWrite if there is nothing at x3.
 */
#include "guest.inc"

GUEST touch
1:  str     w0, [x1]
    add     x1, x1, #0x1000
    subs    x2, x2, #1
    b.ne    1b
    str     x2, [x3]
    b       1b
END_GUEST
