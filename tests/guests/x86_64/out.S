/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Writes al to port 0x10, ax to 0x12, eax to 0x14. Any mode of 64 bits. Exits: IoOut of 1, 2, 4
 * bytes, Hlt.
 */
#include "guest.inc"

GUEST out, 64
    mov     $0x44332211, %eax
    out     %al, $0x10
    out     %ax, $0x12
    out     %eax, $0x14
    hlt
END_GUEST
