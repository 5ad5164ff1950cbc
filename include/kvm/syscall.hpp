// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/arch.hpp>
#include <type_traits>

#ifdef KVMXX_SYSCALL_HOOK
/// Answers a system call in the kernel's place: returns true and fills `result` (a value, or
/// -errno).
extern "C" bool kvmxx_syscall_hook(long nr, const long (&args)[6], long& result);
#endif

#if defined(__SANITIZE_THREAD__)
#define KVMXX_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KVMXX_TSAN 1
#endif
#endif

namespace kvm::detail {

#ifdef KVMXX_TSAN
/// mmap, munmap and close by libc, where ThreadSanitizer sees them: it takes what comes in an old
/// mapping's or descriptor's place for the old one otherwise, and reports races that are none.
/// Other calls are not for it.
bool called_by_libc(long nr, const long (&args)[6], long& result);
#endif

/// A system call's argument as the register holds it.
template <class T>
[[gnu::always_inline]] inline long word(T value) {
    if constexpr (__is_same(T, decltype(nullptr))) {
        return 0;
    } else if constexpr (std::is_pointer_v<T>) {
        return reinterpret_cast<long>(value);
    } else {
        return static_cast<long>(value);
    }
}

/// The one door to the kernel: every system call of the library goes through here. The result is
/// the kernel's: a value, or -errno. With KVMXX_SYSCALL_HOOK defined, a function of the program is
/// asked first: how the tests fail each call with each errno.
template <class... Args>
    requires(sizeof...(Args) <= 6)
[[gnu::always_inline]] inline long sys(arch::Nr nr, Args... args) {
#ifdef KVMXX_SYSCALL_HOOK
    long answer = 0;
    if (kvmxx_syscall_hook(nr, {word(args)...}, answer)) {
        return answer;
    }
#endif
#ifdef KVMXX_TSAN
    if (long result = 0; called_by_libc(nr, {word(args)...}, result)) {
        return result;
    }
#endif
    if constexpr (sizeof...(Args) <= 1) {
        return arch::syscall1(nr, word(args)...);
    } else if constexpr (sizeof...(Args) == 2) {
        return arch::syscall2(nr, word(args)...);
    } else if constexpr (sizeof...(Args) == 3) {
        return arch::syscall3(nr, word(args)...);
    } else {
        return arch::syscall6(nr, word(args)...);
    }
}

}  // namespace kvm::detail
