// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vmm/device/unix_socket.hpp>
#include <vmm/virtio/device.hpp>

namespace vmm::virtio {

struct VsockOptions {
    std::uint32_t cid = 3;  ///< the guest's address: 3 or more, not 0xffffffff
    /// The host's UNIX socket. Connections of the guest to port P lead to the socket PATH_P.
    std::string path;

    friend bool operator==(const VsockOptions&, const VsockOptions&) = default;
};

/// What can be said against them without touching a file: EINVAL, ENAMETOOLONG. Begins with the
/// option: "cid: 2 is the host".
Result<void> check(const VsockOptions& options);

struct VsockReport {
    std::uint64_t open = 0;     ///< connections that there are
    std::uint64_t opened = 0;   ///< that there ever were, by either side
    std::uint64_t refused = 0;  ///< by the guest to ports where nobody listens, or too many
    std::uint64_t broken = 0;   ///< that ended without the agreement of both sides

    friend bool operator==(const VsockReport&, const VsockReport&) = default;
};

namespace detail {
struct VsockHeader;
struct VsockConnection;
struct VsockGreeting;
}  // namespace detail

/// The socket device, for streams: virtio 1.2, 5.10. The host's side is UNIX sockets, as
/// Firecracker has them: who connects to PATH writes "CONNECT PORT\n", and gets "OK HOSTPORT\n"
/// once somebody in the guest accepted, or the end of the file if nobody does; who listens at
/// PATH_PORT gets what the guest connects to port PORT of the host (address 2).
///
/// Connections live as long as this process: after restore() the guest is told to forget its.
class Vsock final : public Device {
public:
    /// Of both directions together, those that were not accepted yet too.
    static constexpr std::size_t most_connections = 1024;
    /// Of the guest's bytes, how many wait in the host for each connection's peer.
    static constexpr std::uint32_t buffer_size = 64 << 10;

    /// Makes the socket, in place of one where nobody listens any more. Errors: check()'s,
    /// ListeningSocket's.
    static Result<std::unique_ptr<Vsock>> create(const VsockOptions& options);
    /// Removes the socket.
    ~Vsock() override;

    /// On the reactor.
    VsockReport report() const;

    DeviceType type() const override { return DeviceType::socket; }
    std::string_view name() const override { return "vsock"; }
    std::uint64_t features() const override { return feature::rings; }
    std::span<const std::uint16_t> queue_sizes() const override { return sizes; }
    void read_config(std::uint64_t offset, std::span<std::byte> data) const override;
    Result<void> activate(Host& host, std::uint64_t features) override;
    void notified(std::uint16_t queue) override;
    void reset() override;
    std::vector<std::byte> save() override;
    Result<void> restore(std::span<const std::byte> bytes) override;
    std::vector<Statistic> statistics() const override;

private:
    using Header = detail::VsockHeader;
    using Connection = detail::VsockConnection;
    using Greeting = detail::VsockGreeting;
    /// A connection, by its two ports.
    struct Key {
        std::uint32_t guest = 0;
        std::uint32_t host = 0;
        friend auto operator<=>(const Key&, const Key&) = default;
    };
    /// A reset for packets of no connection: whence it is said to come, and where to.
    struct Reset {
        std::uint64_t from_cid;
        Key key;
        std::uint16_t type;
    };
    static constexpr std::array<std::uint16_t, 3> sizes{256, 256, 16};
    static constexpr std::uint16_t rx = 0, tx = 1, event = 2;

    Vsock(const VsockOptions& options, ListeningSocket listener);

    // vsock.cpp: queues.
    void run();
    Result<bool> receive();
    Result<bool> send();
    Result<std::uint32_t> fill(const Chain& chain);
    Result<void> take(const Chain& chain);
    Result<void> tell_of_reset();

    // vsock_packets.cpp: what a packet of the guest does, and what packets it gets.
    Result<void> handle(const Header& header, const Chain& chain);
    void handle_request(const Header& header, Key key);
    void handle_response(Connection& connection);
    Result<void> handle_data(Connection& connection, const Header& header, const Chain& chain);
    void handle_shutdown(Connection& connection, std::uint32_t flags);
    void refuse(const Header& header);
    Result<std::uint32_t> fill_from(Connection& connection, const Chain& chain);
    Result<std::uint32_t> fill_data(Connection& connection, const Chain& chain);
    Result<std::uint32_t> write_header(Connection& connection, const Chain& chain, std::uint16_t op,
                                       std::uint32_t length, std::uint32_t flags);

    // vsock_sockets.cpp: the host's sockets.
    Result<void> listen();
    void accept();
    void greet(Greeting& greeting);
    void request(kvm::Fd fd, std::uint32_t guest_port);
    std::optional<kvm::Fd> connect(std::uint32_t port);
    void ready(Key key, kvm::Flags<Ready> events);
    void watch(Connection& connection);
    void flush(Connection& connection);
    void forwarded(Connection& connection, std::size_t bytes);
    void stop_writing(Connection& connection);
    void settle(Connection& connection);

    // vsock_life.cpp: the ends of connections.
    Connection& add(std::unique_ptr<Connection> connection);
    void enqueue(Connection& connection);
    void end_of_input(Connection& connection);
    void give_up(Connection& connection);
    void remove(Connection& connection);
    void set_deadline(std::optional<std::chrono::steady_clock::time_point>& deadline);
    void set_sweep();
    void sweep();
    std::size_t count() const { return connections_.size() + greetings_.size(); }

    VsockOptions options_;
    ListeningSocket listener_;
    Host* host_ = nullptr;  // while active
    VsockReport report_;
    bool tell_reset_ = false;      // the guest is to forget its connections
    std::uint32_t next_port_ = 0;  // of the host's connections
    Chain chain_;
    std::vector<iovec> iovecs_;

    // The reactor's, while active.
    std::map<Key, std::unique_ptr<Connection>> connections_;
    std::map<int, std::unique_ptr<Greeting>> greetings_;  // by descriptor: not yet connections
    std::deque<Key> ready_;                               // with something for the guest
    std::deque<Reset> resets_;
    std::optional<Reactor::Watch> listening_;
    std::optional<Reactor::Timer> again_;  // what was left for later
    std::optional<Reactor::Timer> sweeper_;
    bool sweeping_ = false;
};

}  // namespace vmm::virtio
