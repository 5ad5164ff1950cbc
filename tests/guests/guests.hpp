// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <guests/define.hpp>

// Those that every architecture has: the same file in its own directory. guests::stop(), which each
// has too, is in tests/support/ARCH/arch_guest.hpp with what it alone has.
KVMXX_GUEST(spin)
KVMXX_GUEST(script)
KVMXX_GUEST_LABEL(script, loaded)
KVMXX_GUEST(steps)
KVMXX_GUEST_LABEL(steps, second)
KVMXX_GUEST_LABEL(steps, third)
KVMXX_GUEST_LABEL(steps, store)
KVMXX_GUEST_LABEL(steps, after)
