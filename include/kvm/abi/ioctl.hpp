// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>

/// What an ioctl is: its number, computed from the argument's type, and which way the argument
/// really goes. The direction bits inside the number are history and often wrong (KVM_SET_IRQCHIP
/// says "read", KVM_GET_ONE_REG says "write"), so the two are kept apart.
namespace kvm {

/// Which way the argument goes, as the kernel's code does it.
enum class Dir : std::uint8_t { none, in, out, inout };

/// One ioctl: `Arg` is what the pointer points to (void: a plain number), `D` its real direction,
/// `Ret` what a successful return value means (void: nothing, int: a count or a descriptor).
template <class Arg, Dir D, class Ret = void>
struct Ioctl {
    std::uint32_t request;
    const char* name;
};

namespace abi {

/// KVMIO.
inline constexpr std::uint32_t kvmio = 0xae;

/// _IOC() of asm-generic/ioctl.h, which x86_64, aarch64 and riscv64 share. dir: 1 write, 2 read.
consteval std::uint32_t ioc(std::uint32_t dir, std::uint32_t nr, std::uint32_t size) {
    return dir << 30 | size << 16 | kvmio << 8 | nr;
}

/// _IO: the argument is a number, or nothing.
template <class Ret = void>
consteval Ioctl<void, Dir::none, Ret> io(std::uint32_t nr, const char* name) {
    return {ioc(0, nr, 0), name};
}

/// _IOW, which the kernel mostly reads.
template <class Arg, class Ret = void, Dir D = Dir::in>
consteval Ioctl<Arg, D, Ret> iow(std::uint32_t nr, const char* name) {
    return {ioc(1, nr, sizeof(Arg)), name};
}

/// _IOR, which the kernel mostly writes.
template <class Arg, class Ret = void, Dir D = Dir::out>
consteval Ioctl<Arg, D, Ret> ior(std::uint32_t nr, const char* name) {
    return {ioc(2, nr, sizeof(Arg)), name};
}

/// _IOWR, which the kernel mostly reads and writes.
template <class Arg, class Ret = void, Dir D = Dir::inout>
consteval Ioctl<Arg, D, Ret> iowr(std::uint32_t nr, const char* name) {
    return {ioc(3, nr, sizeof(Arg)), name};
}

}  // namespace abi

}  // namespace kvm
