/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Writes and reads the local APIC's task priority in memory. Long mode, irqchip in the kernel.
 * Exits, where tpr_access_reporting() asked: TprAccess of the write, TprAccess of the read; then
 * IoOut.
 */
#include "guest.inc"

GUEST tpr, 64
    mov     $0xfee00080, %edi
    mov     $0x20, %eax
LABEL write
    mov     %eax, (%rdi)
LABEL read
    mov     (%rdi), %eax
    out     %al, $0x80
1:  hlt
    jmp     1b
END_GUEST
