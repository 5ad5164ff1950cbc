/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Instructions of one byte each, to step through or break at, and a store to rdi. Long mode. Exits:
 * Hlt.
 */
#include "guest.inc"

GUEST steps, 64
    nop
    nop
    nop
LABEL store
    mov     %al, (%rdi)
LABEL after
    nop
    hlt
END_GUEST
