/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The guest that every introduction to KVM has: al + bl to port 0x3f8, then '\n', then hlt.
 * Real mode. Exits: IoOut, IoOut, Hlt.
 */
#include "guest.inc"

GUEST hello, 16
    mov     $0x3f8, %dx
    add     %bl, %al
    add     $'0', %al
    out     %al, (%dx)
    mov     $'\n', %al
    out     %al, (%dx)
    hlt
END_GUEST
