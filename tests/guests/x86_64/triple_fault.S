/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * An undefined instruction, with no handler for it nor for what follows from that. Exits: Shutdown.
 */
#include "guest.inc"

GUEST triple_fault, 64
    ud2
END_GUEST
