/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A hypervisor with AMD's SVM: runs a guest of its own by the VMCB at rsi, which begins at `inner`.
 * Exits: IoOut of 'n' of the inner guest, then of 'r' once that has ended; 'x' of its handler of an exception.
 */
#include "guest.inc"

GUEST nested, 64
    mov     %rsi, %rax
    vmrun   %rax
    mov     $'r', %al
    out     %al, $0x80
    hlt
LABEL inner
    mov     $'n', %al
    out     %al, $0x80
    vmmcall
    hlt
LABEL exception
    mov     $'x', %al
    out     %al, $0x80
    hlt
END_GUEST
