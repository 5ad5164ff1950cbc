/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * An x87 load from rdi, where there is no memory: KVM would have to emulate it, and cannot. Long
 * mode.
 * Exits: InternalError of kind emulation.
 */
#include "guest.inc"

GUEST unemulated, 64
    flds    (%rdi)
    hlt
END_GUEST
