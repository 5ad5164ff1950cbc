/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Instructions to step through or break at, among them a store of al to 0x100000. Long mode.
 * Exits: Hlt.
 */
#include "guest.inc"

GUEST steps, 64
    mov     $0x100000, %edi
LABEL second
    nop
LABEL third
    nop
LABEL store
    mov     %al, (%rdi)
LABEL after
    nop
    hlt
END_GUEST
