/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Sets its vectors, lets SErrors in, writes 0 to x9, and then waits; the handlers write to x9 the
 * exception: its vector times 16, and at x9 + 8 its syndrome. Exits: MmioWrite.
 */
#include "guest.inc"

.macro HANDLER number
    .balign 128
    mov     x10, #(\number * 16)
    str     x10, [x9]
    mrs     x10, esr_el1
    str     x10, [x9, #8]
    eret
.endm

GUEST handlers
    b       1f
    .balign 2048
LABEL vectors
    HANDLER 0
    HANDLER 1
    HANDLER 2
    HANDLER 3
    HANDLER 4
    HANDLER 5
    HANDLER 6
    HANDLER 7
    .balign 128
1:  adr     x10, guest_handlers_vectors
    msr     vbar_el1, x10
    isb
    msr     daifclr, #4
    str     xzr, [x9]
2:  nop
    b       2b
END_GUEST
