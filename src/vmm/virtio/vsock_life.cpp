// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <poll.h>
#include <vmm/virtio/vsock_parts.hpp>

/// The connections, and their ends.
namespace vmm::virtio {

using namespace detail;

namespace {

/// How long a side may take for its part of a connection's beginning or end; Linux's own patience
/// when it closes.
constexpr std::chrono::seconds patience{8};
constexpr std::chrono::seconds sweep_interval{1};

}  // namespace

Vsock::Connection& Vsock::add(std::unique_ptr<Connection> connection) {
    const Key key{connection->guest_port, connection->host_port};
    return *(connections_[key] = std::move(connection));
}

/// It has something for the guest.
void Vsock::enqueue(Connection& connection) {
    if (!connection.in_ready) {
        connection.in_ready = true;
        ready_.push_back({connection.guest_port, connection.host_port});
    }
}

void Vsock::remove(Connection& connection) {
    const Key key{connection.guest_port, connection.host_port};
    if (connection.in_ready) {
        std::erase(ready_, key);
    }
    connections_.erase(key);
}

/// The socket has no more for the guest; if its peer has closed it, it takes nothing either.
void Vsock::end_of_input(Connection& connection) {
    pollfd state{connection.fd.number(), 0, 0};
    const bool closed = ::poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR));
    connection.readable = false;
    connection.end_of_input = true;
    connection.host_shut |= closed ? shut_both : shut_send;
    connection.tell(Tell::shutdown);
    if (connection.host_shut == shut_both) {
        set_deadline(connection.deadline);
    }
    watch(connection);
}

/// Ends it at once: its socket is closed, and the guest gets a reset.
void Vsock::give_up(Connection& connection) {
    ++report_.broken;
    connection.watch.reset();
    connection.fd = kvm::Fd(-1);
    connection.deadline.reset();
    connection.open = false;
    connection.buffer.clear();
    connection.flushed = 0;
    connection.to_tell = static_cast<std::uint32_t>(Tell::reset);
    enqueue(connection);
}

void Vsock::set_deadline(std::optional<SteadyTime>& deadline) {
    deadline = std::chrono::steady_clock::now() + patience;
    set_sweep();
}

void Vsock::set_sweep() {
    if (!sweeping_) {
        sweeping_ = true;
        sweeper_->start(sweep_interval);
    }
}

/// Ends what has taken too long.
void Vsock::sweep() {
    const auto now = std::chrono::steady_clock::now();
    bool more = false;
    for (auto& [key, connection] : connections_) {
        if (connection->deadline && *connection->deadline <= now) {
            give_up(*connection);
        }
        more = more || connection->deadline;
    }
    std::erase_if(greetings_, [&](const auto& entry) { return *entry.second->deadline <= now; });
    // It stopped for want of descriptors.
    const bool listening = listening_ || listen();
    if (more || !greetings_.empty() || !listening) {
        set_sweep();
    }
}

}  // namespace vmm::virtio
