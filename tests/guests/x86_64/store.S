/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Writes al to (rdi), reads it back into bl. Long mode. Exits: what the address makes; Hlt. */
#include "guest.inc"

GUEST store, 64
    mov     %al, (%rdi)
    mov     (%rdi), %bl
    hlt
END_GUEST
