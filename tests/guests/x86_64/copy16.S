/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * One load of 16 bytes from rsi, its store to rdi. Where there is no memory, the kernel splits each
 * into two exits. Long mode. Exits: in memory, Hlt alone; else MmioRead or MmioWrite of 8 bytes,
 * twice.
 */
#include "guest.inc"

GUEST copy16, 64
    movups  (%rsi), %xmm0
LABEL store
    movups  %xmm0, (%rdi)
    hlt
END_GUEST
