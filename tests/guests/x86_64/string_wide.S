/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * String I/O of the sizes that string_io has not: from rsi and to rdi, rcx times. Long mode.
 * Exits: IoOut or IoIn, Hlt.
 */
#include "guest.inc"

GUEST string_wide, 64
LABEL outsl
    mov     $0x3f8, %edx
    cld
    rep outsl
    hlt
LABEL insw
    mov     $0x3f8, %edx
    cld
    rep insw
    hlt
LABEL insl
    mov     $0x3f8, %edx
    cld
    rep insl
    hlt
END_GUEST
