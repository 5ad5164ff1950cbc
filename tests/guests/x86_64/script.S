/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Does what a list says: 24 bytes to an operation at rsi, { u64 kind, u64 address, u64 value }.
 * Kinds: 1, 2, 4, 8 store that many bytes; 0x11, 0x12, 0x14 write to the port `address`; 0x21, 0x22,
 * 0x24, 0x28 load that many bytes into `value`; 0x31 waits for one interrupt; 0x41 goes on with the
 * operation at `address`; any other halts, and goes on at the next run.
 * Long mode.
 */
#include "guest.inc"

GUEST script, 64
1:  mov     (%rsi), %rcx
    mov     8(%rsi), %rdx
    mov     16(%rsi), %rax
    add     $24, %rsi
    cmp     $1, %rcx
    je      store1
    cmp     $2, %rcx
    je      store2
    cmp     $4, %rcx
    je      store4
    cmp     $8, %rcx
    je      store8
    cmp     $0x11, %rcx
    je      out1
    cmp     $0x12, %rcx
    je      out2
    cmp     $0x14, %rcx
    je      out4
    cmp     $0x21, %rcx
    je      load1
    cmp     $0x22, %rcx
    je      load2
    cmp     $0x24, %rcx
    je      load4
    cmp     $0x28, %rcx
    je      load8
    cmp     $0x31, %rcx
    je      wait
    cmp     $0x41, %rcx
    cmove   %rdx, %rsi
    je      1b
    hlt
    jmp     1b
store1:
    mov     %al, (%rdx)
    jmp     1b
store2:
    mov     %ax, (%rdx)
    jmp     1b
store4:
    mov     %eax, (%rdx)
    jmp     1b
store8:
    mov     %rax, (%rdx)
    jmp     1b
out1:
    out     %al, (%dx)
    jmp     1b
out2:
    out     %ax, (%dx)
    jmp     1b
out4:
    out     %eax, (%dx)
    jmp     1b
load1:
    movzbl  (%rdx), %eax
LABEL loaded
    mov     %rax, -8(%rsi)
    jmp     1b
load2:
    movzwl  (%rdx), %eax
    mov     %rax, -8(%rsi)
    jmp     1b
load4:
    mov     (%rdx), %eax
    mov     %rax, -8(%rsi)
    jmp     1b
load8:
    mov     (%rdx), %rax
    mov     %rax, -8(%rsi)
    jmp     1b
wait:
    sti                         /* takes effect after hlt: an interrupt that is there ends that */
    hlt
    cli
    jmp     1b

/* A handler of any interrupt from the local APIC: tells port 0xe0, then acknowledges. */
LABEL interrupt
    push    %rax
    push    %rdx
    mov     $0xe0, %edx
    mov     $1, %eax
    out     %al, (%dx)
    mov     $0xfee000b0, %edx
    movl    $0, (%rdx)
    pop     %rdx
    pop     %rax
    iretq
END_GUEST
