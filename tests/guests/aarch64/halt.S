/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Powers off. Exits: SystemEvent. */
#include "guest.inc"

GUEST halt
    POWER_OFF
END_GUEST
