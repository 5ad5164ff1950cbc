// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/device/unix_socket.hpp>

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace vmm {

namespace {

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(),
                path.size());  // check_socket_path() saw that it fits
    return address;
}

/// Whether a socket is there that nobody listens at: of a program that died.
bool is_stale(const std::string& path) {
    struct stat status{};
    const kvm::Fd probe = make_socket();
    return ::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode) && probe.valid() &&
           connect_socket(probe, path) == ECONNREFUSED;
}

}  // namespace

Result<void> check_socket_path(const std::string& path, std::size_t reserve) {
    const std::size_t most = sizeof(sockaddr_un::sun_path) - 1 - reserve;
    if (path.empty() || path.find('\0') != std::string::npos) {
        return fail("is no path", EINVAL);
    }
    if (path.size() > most) {
        return fail(fmt::format("{} is longer than the {} bytes of a socket's path", path, most),
                    ENAMETOOLONG);
    }
    return {};
}

kvm::Fd make_socket() {
    return kvm::Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

int connect_socket(const kvm::Fd& fd, const std::string& path) {
    const sockaddr_un address = address_of(path);
    const auto* const to = reinterpret_cast<const sockaddr*>(&address);
    return ::connect(fd.number(), to, sizeof address) == 0 ? 0 : errno;
}

bool is_shortage(int error) {
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

Result<ListeningSocket> ListeningSocket::create(const std::string& path) {
    if (auto done = check_socket_path(path); !done) {
        return std::unexpected(std::move(done).error());
    }
    kvm::Fd fd = make_socket();
    if (!fd.valid()) {
        return fail_errno(path, errno);
    }
    const sockaddr_un address = address_of(path);
    const auto bind = [&] {
        return ::bind(fd.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    };
    int done = bind();
    if (done != 0 && errno == EADDRINUSE && is_stale(path)) {
        ::unlink(path.c_str());
        done = bind();
    }
    if (done != 0) {
        return fail_errno(path, errno);
    }
    ListeningSocket made(std::move(fd), path);
    if (::listen(made.fd_.number(), SOMAXCONN) != 0) {
        return fail_errno(path, errno);
    }
    return made;
}

ListeningSocket::~ListeningSocket() {
    if (fd_.valid()) {
        ::unlink(path_.c_str());
    }
}

kvm::Fd ListeningSocket::accept() const {
    return kvm::Fd(::accept4(fd_.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

}  // namespace vmm
