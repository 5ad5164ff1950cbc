/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Jumps to itself for ever: only a Kick, a signal or an immediate exit ends it. */
#include "guest.inc"

GUEST spin
1:  b       1b
END_GUEST
