/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Jumps to itself for ever, in every mode: only a Kick, a signal or an immediate exit ends it. */
#include "guest.inc"

GUEST spin, 16
1:  jmp     1b
END_GUEST
