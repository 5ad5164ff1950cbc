/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Reads DR0; the handler writes DR6 to port 0x80 as four bytes. Exits: IoOut. */
#include "guest.inc"

GUEST detect, 64
LABEL read
    mov     %dr0, %rax
LABEL after
    mov     $0xffffffff, %eax
    out     %eax, $0x80
    hlt
LABEL handler
    mov     %dr6, %rax
    out     %eax, $0x80
    hlt
END_GUEST
