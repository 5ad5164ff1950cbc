/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Reads a byte from port 0x80 and writes it back, for ever. Any mode. Exits: IoIn, IoOut,
 * alternating.
 */
#include "guest.inc"

GUEST echo, 16
1:  in      $0x80, %al
LABEL between
    out     %al, $0x80
    jmp     1b
END_GUEST
