/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Writes x0 to x1 with each size, then reads each size from x2 into x8 to x11.
 * Exits: MmioWrite of 1, 2, 4, 8 bytes, MmioRead of 1, 2, 4, 8 bytes, SystemEvent.
 */
#include "guest.inc"

GUEST mmio
    strb    w0, [x1]
    strh    w0, [x1]
    str     w0, [x1]
    str     x0, [x1]
    ldrb    w8, [x2]
    ldrh    w9, [x2]
    ldr     w10, [x2]
    ldr     x11, [x2]
    POWER_OFF
END_GUEST
