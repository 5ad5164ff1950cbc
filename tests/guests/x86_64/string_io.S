/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * String I/O from and to rsi and rdi, which the test set, and rcx times; each entry halts after it.
 * Long mode. Exits: IoOut or IoIn with a count (how many at a time is the kernel's choice), Hlt.
 */
#include "guest.inc"

GUEST string_io, 64
LABEL outsb
    mov     $0x3f8, %edx
    cld
    rep outsb
    hlt
LABEL outsw
    mov     $0x3f8, %edx
    cld
    rep outsw
    hlt
LABEL insb
    mov     $0x3f8, %edx
    cld
    rep insb
    hlt
LABEL insl
    mov     $0x3f8, %edx
    cld
    insl
    hlt
END_GUEST
