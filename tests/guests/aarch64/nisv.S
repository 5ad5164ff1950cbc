/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A store that has no syndrome, as it writes back, from x0 to x1. Exits: ArmNisv, SystemEvent. */
#include "guest.inc"

GUEST nisv
    str     x0, [x1], #8
LABEL after
    POWER_OFF
END_GUEST
