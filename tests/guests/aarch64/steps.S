/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Instructions to step through or break at, among them a store of w0 to 0x100000. Exits: the stop. */
#include "guest.inc"

GUEST steps
    movz    x1, #0x10, lsl #16
LABEL second
    nop
LABEL third
    nop
LABEL store
    str     w0, [x1]
LABEL after
    nop
    STOP
END_GUEST
