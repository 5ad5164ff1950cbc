// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/error.hpp>
#include <kvm/flags.hpp>
#include <kvm/syscall.hpp>
#include <span>

namespace kvm {

/// A file descriptor that somebody else owns: valid as long as its owner is.
class FdRef {
public:
    /// Borrows `fd`.
    constexpr explicit FdRef(int fd) : fd_(fd) {}

    /// The descriptor's number, for system calls that the library does not make.
    constexpr int number() const { return fd_; }

private:
    int fd_;
};

/// A file descriptor that is closed at the end of its life. Move-only; -1 only after a move or
/// release.
class Fd {
public:
    /// Takes over `fd`, which nobody else may close.
    constexpr explicit Fd(int fd) : fd_(fd) {}
    constexpr Fd(Fd&& other) noexcept : fd_(other.release()) {}
    constexpr Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            close();
            fd_ = other.release();
        }
        return *this;
    }
    constexpr ~Fd() { close(); }

    /// The descriptor's number, for system calls that the library does not make.
    constexpr int number() const { return fd_; }
    constexpr operator FdRef() const { return FdRef(fd_); }
    /// Whether a descriptor is owned. A number is no truth value: `if (fd)` does not compile.
    constexpr bool valid() const { return fd_ >= 0; }
    explicit operator bool() const = delete;

    /// Gives the descriptor away: the caller closes it.
    [[nodiscard]] constexpr int release() {
        const int fd = fd_;
        fd_ = -1;
        return fd;
    }
    /// A second descriptor for the same open file, close-on-exec. Errors: EMFILE.
    Result<Fd> duplicate() const;

private:
    constexpr void close() {
        // close(2) must not be repeated after EINTR on Linux: the descriptor is gone all the same.
        if (fd_ >= 0) {
            (void)detail::sys(arch::nr_close, fd_);
        }
    }

    int fd_;
};

/// Options of an EventFd: EFD_SEMAPHORE, EFD_NONBLOCK. Close-on-exec is always set.
enum class EventFdFlag : std::uint32_t { semaphore = 1, nonblock = 04000 };
template <>
inline constexpr bool is_flag_enum<EventFdFlag> = true;

/// eventfd(2): a counter in the kernel that KVM signals (ioeventfd) or waits for (irqfd).
class EventFd {
public:
    /// A counter that starts at `initial`. Errors: EMFILE, ENFILE, ENOMEM.
    static Result<EventFd> create(std::uint32_t initial = 0, Flags<EventFdFlag> flags = {});
    /// Takes over a descriptor that is an eventfd; write() and read() are EPROTO where it is none.
    explicit EventFd(Fd fd) : fd_(static_cast<Fd&&>(fd)) {}

    /// Adds `n` to the counter. Errors: EAGAIN (nonblock, and the counter is at its limit).
    Result<void> write(std::uint64_t n = 1) const;
    /// The counter, which becomes 0 (semaphore: 1, and it counts down). Errors: EAGAIN (nonblock
    /// and 0).
    Result<std::uint64_t> read() const;

    /// The descriptor, for add_irqfd(), add_ioeventfd() and poll(2).
    const Fd& fd() const { return fd_; }
    operator FdRef() const { return fd_; }

private:
    Fd fd_;
};

namespace detail {

/// openat(AT_FDCWD, path, flags | O_CLOEXEC), repeated after EINTR.
Result<Fd> open(const char* path, int flags);

}  // namespace detail

}  // namespace kvm
