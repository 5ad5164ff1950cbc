/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What a processor does for the code in it: each entry does one thing and halts; a fault's handler
 * writes 'f' to port 0x80 and halts. Long mode. Exits: Hlt, or IoOut as an entry says.
 */
#include "guest.inc"

GUEST cpu, 64
LABEL count_up              /* adds 1 to every register but rsp */
    inc     %rax
    inc     %rbx
    inc     %rcx
    inc     %rdx
    inc     %rsi
    inc     %rdi
    inc     %rbp
    inc     %r8
    inc     %r9
    inc     %r10
    inc     %r11
    inc     %r12
    inc     %r13
    inc     %r14
    inc     %r15
    hlt
LABEL flags                 /* the flags into rax, those of rbx into the flags */
    pushfq
    pop     %rax
    push    %rbx
    popfq
    hlt
LABEL controls              /* CR0, CR3, CR4 into rax, rbx, rcx; rdx into CR2; AM into CR0 */
    mov     %cr0, %rax
    mov     %cr3, %rbx
    mov     %cr4, %rcx
    mov     %rdx, %cr2
    mov     %rax, %rsi
    or      $0x40000, %rsi
    mov     %rsi, %cr0
    hlt
LABEL bad_cr0               /* paging without protection */
    mov     %cr0, %rax
    and     $~1, %rax
    mov     %rax, %cr0
    hlt
LABEL debug_registers       /* rbx into DR0, rcx into DR7, an exit, and they into rsi, rdi */
    mov     %rbx, %dr0
    mov     %rcx, %dr7
    out     %al, $0x80
    mov     %dr0, %rsi
    mov     %dr7, %rdi
    hlt
LABEL break_here            /* sets a breakpoint of its own at `broken` */
    mov     %rbx, %dr0
    mov     $0x402, %rcx
    mov     %rcx, %dr7
LABEL broken
    nop
    hlt
LABEL segment               /* the byte at FS:0 into rax, at GS:0 into rbx */
    movzbl  %fs:0, %eax
    movzbl  %gs:0, %ebx
    hlt
LABEL segment_bases         /* rbx into FS's base and back into rax */
    wrfsbase %rbx
    rdfsbase %rax
    hlt
LABEL time                  /* two time stamps, into rbx and rax */
    rdtsc
    shl     $32, %rdx
    or      %rdx, %rax
    mov     %rax, %rbx
    rdtsc
    shl     $32, %rdx
    or      %rdx, %rax
    hlt
LABEL divide                /* by nothing */
    xor     %ebx, %ebx
    div     %ebx
    hlt
LABEL caches
    invd
    hlt
LABEL vmread
    vmread  %rax, %rbx
    hlt
LABEL invept
    invept  (%rdi), %rax
    hlt
LABEL interrupt
    int     $0x40
    hlt
LABEL mmx                   /* rbx into an MMX register, an exit, and back into rax */
    movq    %rbx, %mm3
    out     %al, $0x80
    movq    %mm3, %rax
    hlt
LABEL avx                   /* 32 bytes from rsi into a register, an exit, and to rdi */
    vmovups (%rsi), %ymm3
    out     %al, $0x80
    vmovups %ymm3, (%rdi)
    hlt
LABEL xsetbv                /* edx:eax into XCR0 and back */
    xor     %ecx, %ecx
    xsetbv
    mov     $-1, %eax
    xgetbv
    hlt
LABEL xsave                 /* to rdi and, changed, from there: xmm0 becomes what rsi has */
    mov     $3, %eax
    xor     %edx, %edx
    xsave   (%rdi)
    mov     (%rsi), %rbx
    mov     %rbx, 160(%rdi)
    orq     $2, 512(%rdi)
    mov     $3, %eax
    xrstor  (%rdi)
    movups  %xmm0, (%rsi)
    hlt
LABEL fault
    mov     $'f', %al
    out     %al, $0x80
    hlt
END_GUEST
