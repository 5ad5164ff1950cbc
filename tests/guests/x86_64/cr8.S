/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Raises its task priority to 5 and lowers it to 2. Long mode, no irqchip. Exits: SetTpr, Hlt. */
#include "guest.inc"

GUEST cr8, 64
    mov     $5, %eax
    mov     %rax, %cr8
    mov     $2, %eax
    mov     %rax, %cr8
    hlt
END_GUEST
