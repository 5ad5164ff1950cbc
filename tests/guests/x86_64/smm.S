/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * For 0x38000, where a system management interrupt goes: writes 's' to port 0x80 and returns.
 * Exits: IoOut.
 */
#include "guest.inc"

GUEST smm, 16
    mov     $'s', %al
    out     %al, $0x80
    rsm
END_GUEST
