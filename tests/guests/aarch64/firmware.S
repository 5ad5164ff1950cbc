/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Calls KVM as firmware with x0 to x3, then writes x0 to x9, and so on. Exits: SystemEvent where the
 * call makes one; MmioWrite of 8 bytes where it returns.
 */
#include "guest.inc"

GUEST firmware
1:  hvc     #0
    str     x0, [x9]
    b       1b
END_GUEST
