// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cerrno>
#include <gtest/gtest.h>
#include <kvm/abi/table.hpp>
#include <kvm/ioctl.hpp>

/// Skips the test under user-mode emulation, where an ioctl that the emulator does not know gets to
/// no kernel.
#define REQUIRE_KERNELS_IOCTLS()                                                                   \
    do {                                                                                           \
        if (::kvm::detail::raw_ioctl(::kvm::FdRef(-1), ::kvm::op::run.request, 0) == -ENOSYS) {    \
            GTEST_SKIP() << "needs the kernel's own answer, where the emulator's is ENOSYS";       \
        }                                                                                          \
    } while (false)
