/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Reads or writes the MSR of ecx, by edx:eax; a #GP runs the handler instead. Long mode.
 * Exits: Rdmsr or Wrmsr where that was asked for; IoOut of 'o' to port 0x80, or of 'g' after a #GP.
 */
#include "guest.inc"

GUEST msr, 64
LABEL read
    rdmsr
    jmp     1f
LABEL write
    wrmsr
1:  mov     %rax, %rbx
    mov     $'o', %al
    out     %al, $0x80
    hlt
LABEL fault
    mov     $'g', %al
    out     %al, $0x80
    hlt
END_GUEST
