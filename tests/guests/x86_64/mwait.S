/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* MONITOR of rax and MWAIT, with a handler of what is undefined. Exits: IoOut of 'm', 'w' or 'f', then Hlt. */
#include "guest.inc"

GUEST mwait, 64
    xor     %ecx, %ecx
    xor     %edx, %edx
    mov     %rsi, %rax
    monitor
    mov     $'m', %al
    out     %al, $0x80
LABEL wait
    xor     %eax, %eax
    xor     %ecx, %ecx
    mwait
    mov     $'w', %al
    out     %al, $0x80
    hlt
LABEL fault
    mov     $'f', %al
    out     %al, $0x80
    hlt
END_GUEST
