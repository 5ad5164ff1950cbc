/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Does what a list says: 24 bytes to an operation at x0, { u64 kind, u64 address, u64 value }.
 * Kinds: 1, 2, 4, 8 store that many bytes; 0x21, 0x22, 0x24, 0x28 load that many bytes into `value`;
 * 0x31 waits for one interrupt; 0x41 goes on with the operation at `address`; any other stops, and
 * goes on at the next run. With VBAR_EL1 at `vectors`, an interrupt writes its number to 0x1f000010
 * and has it end.
 */
#include "guest.inc"

GUEST script
    b       1f
    .balign 2048
LABEL vectors
    .skip   0x280                   /* an IRQ while in EL1 with its own stack */
    mrs     x4, s3_0_c12_c12_0      /* ICC_IAR1_EL1 */
    movz    x5, #0x1f00, lsl #16
    str     w4, [x5, #0x10]
    msr     s3_0_c12_c12_1, x4      /* ICC_EOIR1_EL1 */
    eret
    .balign 2048
1:  ldr     x1, [x0]
    ldr     x2, [x0, #8]
    ldr     x3, [x0, #16]
    add     x0, x0, #24
    cmp     x1, #1
    b.eq    store1
    cmp     x1, #2
    b.eq    store2
    cmp     x1, #4
    b.eq    store4
    cmp     x1, #8
    b.eq    store8
    cmp     x1, #0x21
    b.eq    load1
    cmp     x1, #0x22
    b.eq    load2
    cmp     x1, #0x24
    b.eq    load4
    cmp     x1, #0x28
    b.eq    load8
    cmp     x1, #0x31
    b.eq    wait
    cmp     x1, #0x41
    csel    x0, x2, x0, eq
    b.eq    1b
    STOP
    b       1b
store1:
    strb    w3, [x2]
    b       1b
store2:
    strh    w3, [x2]
    b       1b
store4:
    str     w3, [x2]
    b       1b
store8:
    str     x3, [x2]
    b       1b
load1:
    ldrb    w3, [x2]
LABEL loaded
    str     x3, [x0, #-8]
    b       1b
load2:
    ldrh    w3, [x2]
    str     x3, [x0, #-8]
    b       1b
load4:
    ldr     w3, [x2]
    str     x3, [x0, #-8]
    b       1b
load8:
    ldr     x3, [x2]
    str     x3, [x0, #-8]
    b       1b
wait:
    wfi                             /* an interrupt ends it, and is taken only where they are let in */
    msr     daifclr, #2
    isb
    msr     daifset, #2
    b       1b
END_GUEST
