// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <climits>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/machine/console.hpp>

namespace vmm {

namespace {

bool has_room(int fd) {
    pollfd state{fd, POLLOUT, 0};
    return poll(&state, 1, 0) == 1;  // POLLERR too: write(2) says what it is
}

}  // namespace

FdConsole::FdConsole(int input, int output)
    : input_(input), output_(output), kind_(Kind::room_for_a_byte) {
    struct stat status{};
    if (fstat(output, &status) != 0 || S_ISREG(status.st_mode)) {
        kind_ = Kind::blocking_never;  // what is closed says so at the first write
    } else if (S_ISSOCK(status.st_mode)) {
        kind_ = Kind::socket;
    } else if (S_ISFIFO(status.st_mode)) {
        kind_ = Kind::room_for_a_page;
    } else if (isatty(output)) {
        const auto path = fmt::format("/proc/self/fd/{}", output);
        own_ = open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        kind_ = own_ >= 0 ? Kind::blocking_never : Kind::room_for_a_byte;
    }
}

FdConsole::~FdConsole() {
    if (own_ >= 0) {
        close(own_);
    }
}

Result<std::size_t> FdConsole::write(std::span<const std::byte> bytes) {
    std::size_t size = bytes.size();
    if (kind_ == Kind::room_for_a_page || kind_ == Kind::room_for_a_byte) {
        if (!has_room(output_)) {
            return 0;
        }
        size = std::min<std::size_t>(size, kind_ == Kind::room_for_a_page ? PIPE_BUF : 1);
    }
    const ssize_t n = kind_ == Kind::socket
                          ? send(output_, bytes.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL)
                          : ::write(own_ >= 0 ? own_ : output_, bytes.data(), size);
    if (n >= 0) {
        return static_cast<std::size_t>(n);
    }
    if (errno == EAGAIN || errno == EINTR) {
        return 0;
    }
    if (errno == ENOSPC || errno == EDQUOT) {
        int none = 0;
        lost_.compare_exchange_strong(none, errno, std::memory_order_relaxed);
        return bytes.size();
    }
    return fail_errno("console output", errno);
}

std::string FdConsole::problem() const {
    const int error = lost_.load(std::memory_order_relaxed);
    return error ? fail_errno("console output", error).error().message + ": some of it is lost"
                 : std::string();
}

std::optional<Console::Size> FdConsole::size() const {
    winsize size{};
    if (ioctl(output_, TIOCGWINSZ, &size) != 0) {
        return std::nullopt;
    }
    return Size{size.ws_col, size.ws_row};
}

Result<Console::Input> FdConsole::read(std::span<std::byte> buffer, std::size_t& size) {
    size = 0;
    const ssize_t n = ::read(input_, buffer.data(), buffer.size());
    if (n > 0) {
        size = static_cast<std::size_t>(n);
        return Input::more;
    }
    if (n == 0 || errno == EIO || errno == EBADF) {
        return Input::end;
    }
    if (errno == EAGAIN || errno == EINTR) {
        return Input::more;
    }
    return fail_errno("console input", errno);
}

}  // namespace vmm
