/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Instructions to step through or break at, and a store to x1. Exits: SystemEvent. */
#include "guest.inc"

GUEST steps
    nop
    nop
    nop
LABEL store
    str     w0, [x1]
LABEL after
    nop
    POWER_OFF
END_GUEST
