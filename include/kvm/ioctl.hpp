// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <kvm/abi/ioctl.hpp>
#include <kvm/fd.hpp>
#include <new>

/// The typed door to ioctl(2): `call(fd, op, argument)`. The direction of the argument, its type
/// and what a success returns are in the type of `op`, so a mismatch does not compile.
///
/// It is also the door for an ioctl that the library does not know yet:
/// `kvm::call(vm.fd(), kvm::abi::iow<MyArgument>(0xd6, "KVM_NEW"), argument)`.
namespace kvm {

namespace detail {

/// ioctl(2) with a pointer or a number: the kernel's answer, or -errno.
template <class Arg>
[[gnu::always_inline]] inline long raw_ioctl(FdRef fd, std::uint32_t request, Arg argument) {
    return sys(arch::nr_ioctl, fd.number(), request, argument);
}

/// The kernel's answer as a Result. `about` is the Error's detail.
template <class Ret>
[[gnu::always_inline]] inline Result<Ret> answer(const char* what, long result, u32 about = 0) {
    if (result < 0) [[unlikely]] {
        // Not fail(): clang 19 packs its code and detail into one register, and apart again.
        return Result<Ret>(std::unexpect, what, static_cast<int>(-result), about);
    }
    if constexpr (__is_same(Ret, void)) {
        return {};
    } else {
        return static_cast<Ret>(result);
    }
}

/// Makes a T whose bytes the kernel is about to write: no store is spent on them before. Neither
/// constexpr nor with another return: g++ 12 would zero the T, or copy it.
template <class T>
struct Unwritten {
    operator T() const {
        T value;
        asm("" : "=m"(value));  // no instruction: it tells the compiler that all bytes are there
        return value;
    }
};

#ifndef __clang__
// g++ 12 keeps a small one in a register that it has to store again.
template <class T>
    requires(sizeof(T) <= 8)
struct Unwritten<T> {
    operator T() const { return T(); }
};
#endif

/// Makes an Error of what the kernel was to fill in, if its answer says that it did not.
template <class T>
[[gnu::always_inline]] inline void check_filled(Result<T>& result, const char* what, long answer) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (answer < 0) [[unlikely]] {
        ::new (static_cast<void*>(&result))
            Result<T>(std::unexpect, what, static_cast<int>(-answer));
    }
}

/// An ioctl that reads and writes the value of `result`.
template <class Arg>
[[gnu::always_inline]] inline void call_into(FdRef fd, Ioctl<Arg, Dir::inout> op,
                                             Result<std::type_identity_t<Arg>>& result) {
    check_filled(result, op.name, raw_ioctl(fd, op.request, &*result));
}

}  // namespace detail

/// The argument is a number, or there is none.
template <class Ret>
[[gnu::always_inline]] inline Result<Ret> call(FdRef fd, Ioctl<void, Dir::none, Ret> op,
                                               unsigned long argument = 0) {
    return detail::answer<Ret>(op.name, detail::raw_ioctl(fd, op.request, argument));
}

/// The kernel reads the argument.
template <class Arg, class Ret>
[[gnu::always_inline]] inline Result<Ret> call(FdRef fd, Ioctl<Arg, Dir::in, Ret> op,
                                               const std::type_identity_t<Arg>& argument) {
    return detail::answer<Ret>(op.name, detail::raw_ioctl(fd, op.request, &argument));
}

/// The kernel writes the argument, which is the result.
template <class Arg>
[[gnu::always_inline]] inline Result<Arg> call(FdRef fd, Ioctl<Arg, Dir::out> op) {
    Result<Arg> result(std::in_place, detail::Unwritten<Arg>());
    detail::check_filled(result, op.name, detail::raw_ioctl(fd, op.request, &*result));
    return result;
}

/// The kernel reads and writes the argument.
template <class Arg, class Ret>
[[gnu::always_inline]] inline Result<Ret> call(FdRef fd, Ioctl<Arg, Dir::inout, Ret> op,
                                               std::type_identity_t<Arg>& argument) {
    return detail::answer<Ret>(op.name, detail::raw_ioctl(fd, op.request, &argument));
}

}  // namespace kvm
