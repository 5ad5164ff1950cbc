// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/net/relay.hpp>

#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vmm/net/user_address.hpp>

namespace vmm::net {

namespace {

/// So that no connection keeps the others from their turn.
constexpr int turns_at_once = 8;
/// Where descriptors are short, until it looks for one again.
constexpr std::chrono::milliseconds patience{100};

/// The socket of a directory of its own, which is gone when this returns: what is left is the
/// descriptor of its inode.
Result<kvm::Fd> listen_without_name(kvm::Fd& listener) {
    std::error_code no_directory;
    std::string directory = std::filesystem::temp_directory_path(no_directory) / "kvmxx-XXXXXX";
    if (no_directory || !::mkdtemp(directory.data())) {
        return fail_errno(directory, no_directory ? no_directory.value() : errno);
    }
    const std::string path = directory + "/s";
    Result<kvm::Fd> place = [&]() -> Result<kvm::Fd> {
        auto socket = KVM_TRY(ListeningSocket::create(path));
        kvm::Fd inode(::open(path.c_str(), O_PATH | O_CLOEXEC | O_NOFOLLOW));
        if (!inode.valid()) {
            return fail_errno(path, errno);
        }
        listener = kvm::Fd(::fcntl(socket.fd().number(), F_DUPFD_CLOEXEC, 0));
        if (!listener.valid()) {
            return fail_errno(path, errno);
        }
        return inode;
    }();
    ::rmdir(directory.c_str());
    return place;
}

/// 0, or what became of its connect(2).
int connect_error(const kvm::Fd& socket) {
    int error = 0;
    socklen_t size = sizeof error;
    return ::getsockopt(socket.number(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

}  // namespace

Result<std::unique_ptr<Relay>> Relay::create(const std::string& name, const std::string& target,
                                             const Wires& wires) {
    std::unique_ptr<Relay> relay(new Relay(name, target, wires));
    KVM_TRY(relay->listen());
    return relay;
}

Result<void> Relay::listen() {
    place_ = KVM_TRY(listen_without_name(listener_));
    path_ = fmt::format("/proc/self/fd/{}", place_.number());
    again_.emplace(KVM_TRY(wires_.reactor.timer([this] { listen_again(); })));
    return watch_listener();
}

Result<void> Relay::watch_listener() {
    watch_ = KVM_TRY(
        wires_.reactor.watch(listener_, Ready::read, [this](kvm::Flags<Ready>) { accept(); }));
    return {};
}

void Relay::listen_again() {
    if (!watch_listener()) {
        again_->start(patience);
    }
}

void Relay::accept() {
    for (std::size_t n = 0; n < most_connections; ++n) {
        kvm::Fd near(::accept4(listener_.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!near.valid()) {
            if (is_shortage(errno)) {
                watch_ = {};  // or it would be ready for ever
                again_->start(patience);
            }
            return;
        }
        if (connections_.size() < most_connections) {
            open(std::move(near));
        } else {
            blame(Error(fmt::format("more than {} connections", most_connections), EBUSY));
        }
    }
}

Result<kvm::Fd> Relay::reach() const {
    const auto tcp = parse_tcp_target(target_);
    kvm::Fd far = tcp ? kvm::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
                      : make_socket();
    if (!far.valid()) {
        return fail_errno(target_, errno);
    }
    int error = 0;
    if (tcp) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(tcp->address);
        address.sin_port = htons(tcp->port);
        const auto* const to = reinterpret_cast<const sockaddr*>(&address);
        error = ::connect(far.number(), to, sizeof address) == 0 ? 0 : errno;
    } else {
        error = connect_socket(far, target_);
    }
    if (error != 0 && error != EINPROGRESS) {
        return fail_errno(target_, error);
    }
    return far;
}

void Relay::open(kvm::Fd near) {
    auto far = reach();
    if (!far) {
        return blame(far.error());
    }
    const At made = connections_.emplace(connections_.end());
    made->near.socket = std::move(near);
    made->far.socket = std::move(*far);
    wait(made);
}

/// Passes on what there is; false if one of the two sockets failed.
bool Relay::flow(const kvm::Fd& from, const kvm::Fd& to, Stream& stream) {
    for (int turn = 0; turn < turns_at_once; ++turn) {
        if (stream.begin == stream.end && !stream.ended) {
            stream.bytes.resize(buffer_bytes);
            const ssize_t n = ::recv(from.number(), stream.bytes.data(), stream.bytes.size(), 0);
            if (n < 0) {
                return errno == EAGAIN || errno == EINTR;
            }
            stream.begin = 0;
            stream.end = static_cast<std::size_t>(n);
            stream.ended = n == 0;
        }
        if (stream.begin < stream.end) {
            const ssize_t n = ::send(to.number(), stream.bytes.data() + stream.begin,
                                     stream.end - stream.begin, MSG_NOSIGNAL);
            if (n < 0) {
                return errno == EAGAIN || errno == EINTR;
            }
            stream.begin += static_cast<std::size_t>(n);
        }
        if (stream.begin == stream.end && stream.ended) {
            stream.passed = stream.passed || ::shutdown(to.number(), SHUT_WR) == 0;
            return stream.passed;
        }
    }
    return true;
}

bool Relay::serve(Connection& connection) const {
    const kvm::Fd& near = connection.near.socket;
    const kvm::Fd& far = connection.far.socket;
    return flow(near, far, connection.out) && flow(far, near, connection.back) &&
           !(connection.out.passed && connection.back.passed);
}

void Relay::turn(At connection) {
    if (connection->connecting) {
        if (const int error = connect_error(connection->far.socket); error != 0) {
            blame(fail_errno(target_, error).error());
            connections_.erase(connection);
            return;
        }
        connection->connecting = false;
    }
    if (serve(*connection)) {
        wait(connection);
    } else {
        connections_.erase(connection);
    }
}

/// A socket that nothing is wanted of is not watched: its other end may have hung up, which is
/// told again and again.
Result<void> Relay::watch(At connection, Side& side, kvm::Flags<Ready> events) {
    if (events == kvm::Flags<Ready>()) {
        side.watch = {};
        return {};
    }
    if (side.watch) {
        return side.watch.set(events);
    }
    side.watch = KVM_TRY(wires_.reactor.watch(
        side.socket, events, [this, connection](kvm::Flags<Ready>) { turn(connection); }));
    return {};
}

void Relay::wait(At connection) {
    const auto wanted = [](const Stream& from_it, const Stream& to_it) {
        kvm::Flags<Ready> events;
        if (from_it.begin == from_it.end && !from_it.ended) {
            events |= Ready::read;
        }
        if (to_it.begin < to_it.end) {
            events |= Ready::write;
        }
        return events;
    };
    Connection& c = *connection;
    const auto near = c.connecting ? kvm::Flags<Ready>() : wanted(c.out, c.back);
    const auto far = c.connecting ? kvm::Flags<Ready>(Ready::write) : wanted(c.back, c.out);
    auto done = watch(connection, c.near, near);
    if (done) {
        done = watch(connection, c.far, far);
    }
    if (!done) {
        blame(done.error());
        connections_.erase(connection);
    }
}

void Relay::blame(const Error& error) {
    if (!blamed_) {
        blamed_ = true;
        wires_.log(fmt::format("{}: {}", name_, error.message));
    }
}

}  // namespace vmm::net
