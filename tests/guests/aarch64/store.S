/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Writes w0 to x1, x2 times, adding x4 to x1 and 1 to w0 each time; then x2 to x3. Exits: MmioWrite.
 */
#include "guest.inc"

GUEST store
1:  str     w0, [x1]
    add     x1, x1, x4
    add     w0, w0, #1
    subs    x2, x2, #1
    b.ne    1b
    str     x2, [x3]
    POWER_OFF
END_GUEST
