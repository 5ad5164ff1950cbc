// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <kvm/vcpu.hpp>
#include <sys/mman.h>
#include <unistd.h>

namespace kvm::test {

/// Answers ioctl(request, argument) with a value or -errno in the kernel's place; empty: the kernel
/// does.
inline std::function<long(std::uint32_t request, void* argument)> kernel;

/// A file of `pages` zero pages, which can be mapped as a vCPU can.
inline Fd memory_file(int pages) {
    Fd file(::memfd_create("kvmxx-test", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(file.number(), pages * 4096), 0);
    return file;
}

/// A vCPU of three pages whose descriptor is `file`.
inline Vcpu vcpu_of(const Fd& file) {
    kernel = [](std::uint32_t, void*) { return 0; };
    Vcpu vcpu = Vcpu::adopt(file.duplicate().value(), 3 * 4096).value();
    kernel = nullptr;
    return vcpu;
}

}  // namespace kvm::test
