/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* One instruction, the same in every mode. Exits: Hlt, again at each run. */
#include "guest.inc"

GUEST halt, 16
1:  hlt
    jmp     1b
END_GUEST
