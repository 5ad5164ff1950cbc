// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <span>

/// Makes `guests::NAME` of guests/x86_64/NAME.S: its bytes. A test that alone uses a guest may say
/// this in its own file, outside every namespace.
#define KVMXX_GUEST(NAME)                                                                          \
    extern "C" const std::byte guest_##NAME##_start[], guest_##NAME##_end[];                       \
    namespace guests {                                                                             \
    inline std::span<const std::byte> NAME() {                                                     \
        return {guest_##NAME##_start, guest_##NAME##_end};                                         \
    }                                                                                              \
    }
/// Makes `guests::NAME_LABEL()` of LABEL in guests/x86_64/NAME.S: its offset from the guest's
/// start.
#define KVMXX_GUEST_LABEL(NAME, LABEL)                                                             \
    extern "C" const std::byte guest_##NAME##_##LABEL[];                                           \
    namespace guests {                                                                             \
    inline std::size_t NAME##_##LABEL() {                                                          \
        return static_cast<std::size_t>(guest_##NAME##_##LABEL - guest_##NAME##_start);            \
    }                                                                                              \
    }

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
