// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <charconv>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <sys/socket.h>
#include <vmm/virtio/vsock_parts.hpp>

/// The host's sockets.
namespace vmm::virtio {

using namespace detail;

namespace {

constexpr std::uint32_t first_port = std::uint32_t{1} << 30;  // of the host's own connections
constexpr std::size_t longest_line = sizeof "CONNECT 4294967295\n" - 1;
constexpr std::size_t longest_port = sizeof "_4294967295" - 1;
constexpr std::string_view command = "CONNECT ";
constexpr int accepts_at_once = 16;

std::optional<std::uint32_t> port_of(std::string_view line) {
    if (!line.starts_with(command)) {
        return std::nullopt;
    }
    line.remove_prefix(command.size());
    std::uint32_t port = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), port);
    return error == std::errc() && end == line.data() + line.size() ? std::optional(port)
                                                                    : std::nullopt;
}

}  // namespace

Result<void> check(const VsockOptions& options) {
    constexpr std::array<const char*, 3> reserved{"the hypervisor's", "reserved", "the host"};
    if (options.cid < reserved.size()) {
        return fail(fmt::format("cid: {} is {}", options.cid, reserved[options.cid]), EINVAL);
    }
    if (options.cid == 0xffffffff) {
        return fail("cid: 4294967295 means any", EINVAL);
    }
    if (auto done = check_socket_path(options.path, longest_port); !done) {
        done.error().message = "path: " + done.error().message;
        if (done.error().code == ENAMETOOLONG) {
            done.error().message += ", with _PORT behind it";
        }
        return done;
    }
    return {};
}

Result<std::unique_ptr<Vsock>> Vsock::create(const VsockOptions& options) {
    auto done = check(options);
    if (done) {
        auto listener = ListeningSocket::create(options.path);
        if (listener) {
            return std::unique_ptr<Vsock>(new Vsock(options, std::move(*listener)));
        }
        done = std::unexpected(std::move(listener).error());
    }
    return fail("vsock: " + done.error().message, done.error().code);
}

Vsock::Vsock(const VsockOptions& options, ListeningSocket listener)
    : options_(options), listener_(std::move(listener)) {}

Vsock::~Vsock() { reset(); }

Result<void> Vsock::listen() {
    listening_ =
        KVM_TRY(host_->reactor().watch(listener_.fd(), Ready::read, [this](kvm::Flags<Ready>) {
            accept();
            run();
        }));
    return {};
}

void Vsock::accept() {
    for (int i = 0; i < accepts_at_once; ++i) {
        kvm::Fd fd = listener_.accept();
        if (!fd.valid()) {
            if (is_shortage(errno)) {
                listening_.reset();  // or it would be ready for ever: sweep() listens again
                set_sweep();
            }
            return;
        }
        if (count() >= most_connections) {
            ++report_.refused;
            continue;
        }
        auto greeting = std::make_unique<Greeting>(std::move(fd));
        Greeting& fresh = *greeting;
        auto watch = host_->reactor().watch(fresh.fd, Ready::read,
                                            [this, &fresh](kvm::Flags<Ready>) { greet(fresh); });
        if (!watch) {
            ++report_.refused;
            continue;
        }
        fresh.watch = std::move(*watch);
        set_deadline(fresh.deadline);
        greetings_[fresh.fd.number()] = std::move(greeting);
    }
}

/// Reads what it has of its line, and not a byte more.
void Vsock::greet(Greeting& greeting) {
    const int fd = greeting.fd.number();
    std::array<char, longest_line> bytes;
    ssize_t n = ::recv(fd, bytes.data(), bytes.size() - greeting.line.size(), MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    std::string_view part(bytes.data(), n < 0 ? 0 : static_cast<std::size_t>(n));
    const std::size_t end = part.find('\n');
    part = part.substr(0, end == part.npos ? end : end + 1);
    n = part.empty() ? 0 : ::recv(fd, bytes.data(), part.size(), 0);
    if (n <= 0) {
        greetings_.erase(fd);  // it went away
        return;
    }
    greeting.line += part;
    if (end == part.npos && greeting.line.size() < longest_line) {
        return;
    }
    greeting.line.pop_back();
    const auto port = port_of(greeting.line);
    greeting.watch.reset();
    kvm::Fd socket = std::move(greeting.fd);
    greetings_.erase(fd);
    if (port && end != part.npos) {
        request(std::move(socket), *port);
        run();
    }
}

/// Asks the guest whether it listens at that port.
void Vsock::request(kvm::Fd fd, std::uint32_t guest_port) {
    std::uint32_t port = 0;
    do {
        port = first_port + next_port_++ % first_port;
    } while (connections_.contains({guest_port, port}));
    Connection& connection = add(std::make_unique<Connection>(guest_port, port, std::move(fd)));
    connection.tell(Tell::request);
    set_deadline(connection.deadline);
    enqueue(connection);
    watch(connection);
}

void Vsock::handle_response(Connection& connection) {
    if (connection.open || connection.host_port < first_port) {
        give_up(connection);
        return;
    }
    connection.open = true;
    connection.deadline.reset();
    ++report_.opened;
    const std::string line = fmt::format("OK {}\n", connection.host_port);
    if (::send(connection.fd.number(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL) !=
        static_cast<ssize_t>(line.size())) {
        give_up(connection);
        return;
    }
    watch(connection);
}

std::optional<kvm::Fd> Vsock::connect(std::uint32_t port) {
    kvm::Fd fd = make_socket();
    if (!fd.valid() || connect_socket(fd, fmt::format("{}_{}", options_.path, port)) != 0) {
        return std::nullopt;
    }
    return fd;
}

/// Waits for what the connection can use. A peer that is gone would be ready for ever.
void Vsock::watch(Connection& connection) {
    if (connection.gone || !connection.fd.valid()) {
        connection.watch.reset();
        return;
    }
    kvm::Flags<Ready> wanted;
    if (connection.may_read() && !connection.readable) {
        wanted |= Ready::read;
    }
    if (connection.waiting() > 0) {
        wanted |= Ready::write;
    }
    if (connection.watch && wanted == connection.watched) {
        return;
    }
    connection.watched = wanted;
    if (connection.watch) {
        (void)connection.watch->set(wanted);  // it fails for no descriptor that is watched
        return;
    }
    const Key key{connection.guest_port, connection.host_port};
    auto watch =
        host_->reactor().watch(connection.fd, wanted, [this, key](kvm::Flags<Ready> events) {
            ready(key, events);
            run();
        });
    if (!watch) {
        give_up(connection);  // no descriptors are left to the host
        return;
    }
    connection.watch = std::move(*watch);
}

void Vsock::ready(Key key, kvm::Flags<Ready> events) {
    const auto found = connections_.find(key);
    if (found == connections_.end()) {
        return;
    }
    Connection& connection = *found->second;
    connection.gone = !(events & (Ready::hang_up | Ready::error)).empty();
    if (!connection.open && connection.gone) {
        give_up(connection);  // it did not wait for the guest's answer
        return;
    }
    if (connection.gone) {
        stop_writing(connection);
    } else if (events.has(Ready::write)) {
        flush(connection);
    }
    if (!connection.may_read()) {
        if (connection.gone && !connection.end_of_input) {
            end_of_input(connection);
        }
    } else if (connection.gone || events.has(Ready::read)) {
        connection.readable = true;
    }
    watch(connection);
    if (connection.has_something()) {
        enqueue(connection);
    }
}

/// Writes what waits for the socket.
void Vsock::flush(Connection& connection) {
    while (connection.waiting() > 0) {
        const ssize_t n =
            ::send(connection.fd.number(), connection.buffer.data() + connection.flushed,
                   connection.waiting(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n < 0) {
            stop_writing(connection);
            return;
        }
        connection.flushed += static_cast<std::size_t>(n);
        forwarded(connection, static_cast<std::size_t>(n));
    }
    connection.buffer.clear();
    connection.flushed = 0;
    settle(connection);
}

/// So many of the guest's bytes have left the buffer: once it is half of it, the guest is told.
void Vsock::forwarded(Connection& connection, std::size_t bytes) {
    connection.forwarded += static_cast<std::uint32_t>(bytes);
    if (connection.forwarded - connection.told_forwarded >= buffer_size / 2) {
        connection.tell(Tell::credit);
    }
}

/// The socket's peer reads no more: what the guest sends is dropped, and it is told.
void Vsock::stop_writing(Connection& connection) {
    connection.deaf = true;
    connection.buffer.clear();
    connection.flushed = 0;
    connection.forwarded = connection.received;
    if (!(connection.host_shut & shut_receive)) {
        connection.host_shut |= shut_receive;
        connection.tell(Tell::shutdown);
    }
    settle(connection);
}

/// Does what the guest's end of a connection asks for, once its bytes are written.
void Vsock::settle(Connection& connection) {
    const bool written = connection.waiting() == 0;
    if ((connection.guest_shut & shut_send) && written && !connection.write_shut) {
        connection.write_shut = true;
        (void)::shutdown(connection.fd.number(), SHUT_WR);  // a peer that is gone: no matter
    }
    if (connection.guest_shut & shut_receive) {
        (void)::shutdown(connection.fd.number(), SHUT_RD);
    }
    if (connection.guest_shut != shut_both) {
        return;
    }
    if (written) {
        connection.tell(Tell::reset);  // the answer to the end of both directions
        enqueue(connection);
    } else if (!connection.deadline) {
        set_deadline(connection.deadline);
    }
}

}  // namespace vmm::virtio
