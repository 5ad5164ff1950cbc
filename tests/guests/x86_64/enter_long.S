/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Goes from real mode to long mode by itself: the page tables are at 0x2000 and the GDT at 0x8000.
 * Writes its upper half of rax, which only long mode has, to port 0x80. Exits: IoOut of 'L', Hlt.
 */
#include "guest.inc"

GUEST enter_long, 16
    lgdtl   AT(pointer)
    mov     %cr4, %eax
    or      $0x20, %eax
    mov     %eax, %cr4
    mov     $0x2000, %eax
    mov     %eax, %cr3
    mov     $0xc0000080, %ecx
    rdmsr
    or      $0x100, %eax
    wrmsr
    mov     %cr0, %eax
    or      $0x80000001, %eax
    mov     %eax, %cr0
    ljmpl   $8, $AT(long_mode)
pointer:
    .word   0x27
    .long   0x8000
    .code64
long_mode:
    mov     $'L', %eax
    shl     $32, %rax
    shr     $32, %rax
    out     %al, $0x80
    hlt
END_GUEST
