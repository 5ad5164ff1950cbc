/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Executes CPUID with the eax and ecx that the test gave; the answer is in the registers. Any mode.
 * Exits: Hlt.
 */
#include "guest.inc"

GUEST cpuid, 64
    cpuid
    hlt
END_GUEST
