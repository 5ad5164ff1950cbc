/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Writes al to port 0x80, adds 1, and so on. Any mode. Exits: IoOut, for ever. */
#include "guest.inc"

GUEST count, 16
1:  out     %al, $0x80
    inc     %al
    jmp     1b
END_GUEST
