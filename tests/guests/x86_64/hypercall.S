/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * KVM_HC_MAP_GPA_RANGE of 2 pages at 0x100000, attributes 3; AMD's CPUs call it vmmcall, Intel's
 * vmcall. Long mode. Exits: Hypercall where that was asked for; Hlt with the reply in rax.
 */
#include "guest.inc"

.macro ARGUMENTS
    mov     $12, %eax
    mov     $0x100000, %ebx
    mov     $2, %ecx
    mov     $3, %edx
.endm

GUEST hypercall, 64
LABEL amd
    ARGUMENTS
    vmmcall
    hlt
LABEL intel
    ARGUMENTS
    vmcall
    hlt
END_GUEST
