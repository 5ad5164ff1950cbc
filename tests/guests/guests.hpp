// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <guests/define.hpp>

KVMXX_GUEST(hello)
KVMXX_GUEST(halt)
KVMXX_GUEST(spin)
KVMXX_GUEST(count)
KVMXX_GUEST(echo)
KVMXX_GUEST_LABEL(echo, between)
KVMXX_GUEST(handlers)
KVMXX_GUEST_LABEL(handlers, nmi)
KVMXX_GUEST_LABEL(handlers, interrupt)
KVMXX_GUEST_LABEL(handlers, exception)
KVMXX_GUEST(msr)
KVMXX_GUEST_LABEL(msr, read)
KVMXX_GUEST_LABEL(msr, write)
KVMXX_GUEST_LABEL(msr, fault)
KVMXX_GUEST(copy16)
KVMXX_GUEST_LABEL(copy16, store)
KVMXX_GUEST(store)
