// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <span>

/// Makes `guests::NAME` of guests/ARCH/NAME.S: its bytes. A test that alone uses a guest may say
/// this in its own file, outside every namespace.
#define KVMXX_GUEST(NAME)                                                                          \
    extern "C" const std::byte guest_##NAME##_start[], guest_##NAME##_end[];                       \
    namespace guests {                                                                             \
    inline std::span<const std::byte> NAME() {                                                     \
        return {guest_##NAME##_start, guest_##NAME##_end};                                         \
    }                                                                                              \
    }
/// Makes `guests::NAME_LABEL()` of LABEL in guests/ARCH/NAME.S: its offset from the guest's
/// start.
#define KVMXX_GUEST_LABEL(NAME, LABEL)                                                             \
    extern "C" const std::byte guest_##NAME##_##LABEL[];                                           \
    namespace guests {                                                                             \
    inline std::size_t NAME##_##LABEL() {                                                          \
        return static_cast<std::size_t>(guest_##NAME##_##LABEL - guest_##NAME##_start);            \
    }                                                                                              \
    }
