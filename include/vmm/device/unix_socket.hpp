// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <kvm/fd.hpp>
#include <string>
#include <vmm/error.hpp>

/// UNIX sockets, streams that do not block: where the host's side of many devices is.
namespace vmm {

/// Whether `path` with `reserve` further bytes can be a socket's. Errors, with the path: EINVAL,
/// ENAMETOOLONG.
Result<void> check_socket_path(const std::string& path, std::size_t reserve = 0);

/// Not valid if there are no descriptors left.
kvm::Fd make_socket();
/// Connects it; 0 or an errno. The path must have been checked.
int connect_socket(const kvm::Fd& fd, const std::string& path);

/// Whether accept(2) failed with `error` for want of something that may be there later: its
/// listener stays ready meanwhile, and is not to be waited for.
bool is_shortage(int error);

/// A socket at a path, which goes with it. Move-only.
class ListeningSocket {
public:
    /// In place of one where nobody listens any more. Errors: check_socket_path()'s; EADDRINUSE
    /// (somebody listens there, or it is another kind of file), bind(2)'s.
    static Result<ListeningSocket> create(const std::string& path);
    ListeningSocket(ListeningSocket&&) noexcept = default;
    ListeningSocket& operator=(ListeningSocket&&) = delete;
    ~ListeningSocket();

    const kvm::Fd& fd() const { return fd_; }
    const std::string& path() const { return path_; }
    /// Who connects next. Not valid if there is nobody, or for want of descriptors: errno says so.
    kvm::Fd accept() const;

private:
    ListeningSocket(kvm::Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

    kvm::Fd fd_;
    std::string path_;
};

}  // namespace vmm
