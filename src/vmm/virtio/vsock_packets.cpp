// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <kvm/try.hpp>
#include <poll.h>
#include <sys/socket.h>
#include <vmm/virtio/vsock_parts.hpp>

/// What a packet of the guest does, and what packets the guest gets.
namespace vmm::virtio {

using namespace detail;

namespace {

constexpr std::size_t most_iovecs = 1024;  // IOV_MAX

msghdr message(std::vector<iovec>& iovecs) {
    msghdr message{};
    message.msg_iov = iovecs.data();
    message.msg_iovlen = std::min(iovecs.size(), most_iovecs);
    return message;
}

}  // namespace

Result<void> Vsock::handle(const Header& header, const Chain& chain) {
    const Key key{header.src_port, header.dst_port};
    const auto found = connections_.find(key);
    const bool known = header.type == vsock_stream && header.dst_cid == host_cid;
    if (known && header.op == vsock_op::request) {
        handle_request(header, key);
        return {};
    }
    if (!known || found == connections_.end()) {
        refuse(header);
        return {};
    }
    Connection& connection = *found->second;
    if (connection.is_told(Tell::reset)) {
        return {};  // what was under way when it ended
    }
    connection.guest_buffer = header.buf_alloc;
    connection.guest_forwarded = header.fwd_cnt;
    connection.asked = connection.asked && connection.credit() == 0;
    switch (header.op) {
        case vsock_op::reset:
            report_.broken += connection.open && connection.host_shut != shut_both;
            remove(connection);
            return {};
        case vsock_op::response:
            handle_response(connection);
            break;
        case vsock_op::data:
            KVM_TRY(handle_data(connection, header, chain));
            break;
        case vsock_op::shutdown:
            handle_shutdown(connection, header.flags);
            break;
        case vsock_op::credit_request:
            connection.tell(Tell::credit);
            break;
        case vsock_op::credit_update:
            break;
        default:
            give_up(connection);
    }
    if (connection.has_something()) {
        enqueue(connection);
    }
    return {};
}

void Vsock::refuse(const Header& header) {
    if (header.op != vsock_op::reset) {
        resets_.push_back({header.dst_cid, {header.src_port, header.dst_port}, header.type});
    }
}

void Vsock::handle_request(const Header& header, Key key) {
    if (const auto found = connections_.find(key); found != connections_.end()) {
        ++report_.broken;
        remove(*found->second);
        refuse(header);
        return;
    }
    std::optional<kvm::Fd> fd = count() < most_connections ? connect(key.host) : std::nullopt;
    if (!fd) {
        ++report_.refused;
        refuse(header);
        return;
    }
    Connection& connection = add(std::make_unique<Connection>(key.guest, key.host, std::move(*fd)));
    connection.guest_buffer = header.buf_alloc;
    connection.guest_forwarded = header.fwd_cnt;
    connection.open = true;
    ++report_.opened;
    connection.tell(Tell::response);
    enqueue(connection);
    watch(connection);
}

Result<void> Vsock::handle_data(Connection& connection, const Header& header, const Chain& chain) {
    const std::uint32_t in_flight = connection.received - connection.forwarded;
    if (!connection.open || (connection.guest_shut & shut_send) ||
        header.length > buffer_size - in_flight) {
        give_up(connection);
        return {};
    }
    connection.received += header.length;
    std::size_t done = connection.deaf ? header.length : 0;
    if (!connection.deaf && connection.waiting() == 0) {
        iovecs_.clear();
        KVM_TRY(iovecs(host_->memory(), chain.readable, vsock_header_size, header.length,
                       Access::read_only, iovecs_));
        const msghdr data = message(iovecs_);
        const ssize_t n = ::sendmsg(connection.fd.number(), &data, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            stop_writing(connection);
            return {};
        }
        done = n < 0 ? 0 : static_cast<std::size_t>(n);
    }
    if (done < header.length) {
        KVM_TRY(read(host_->memory(), chain.readable, vsock_header_size + done,
                     connection.append(header.length - done)));
    }
    forwarded(connection, done);
    watch(connection);
    return {};
}

void Vsock::handle_shutdown(Connection& connection, std::uint32_t flags) {
    if (!connection.open) {
        give_up(connection);
        return;
    }
    connection.guest_shut |= flags & shut_both;
    settle(connection);
}

/// The next packet of a connection; 0 if it has nothing to say after all.
Result<std::uint32_t> Vsock::fill_from(Connection& connection, const Chain& chain) {
    if (connection.is_told(Tell::reset)) {
        const auto written = KVM_TRY(write_header(connection, chain, vsock_op::reset, 0, 0));
        remove(connection);
        return written;
    }
    std::uint32_t written = 0;
    if (connection.is_told(Tell::request)) {
        connection.told(Tell::request);
        written = KVM_TRY(write_header(connection, chain, vsock_op::request, 0, 0));
    } else if (connection.is_told(Tell::response)) {
        connection.told(Tell::response);
        written = KVM_TRY(write_header(connection, chain, vsock_op::response, 0, 0));
    } else if (connection.may_read() && connection.readable && connection.credit() > 0) {
        written = KVM_TRY(fill_data(connection, chain));
    }
    if (written == 0 && connection.is_told(Tell::reset)) {
        written = KVM_TRY(write_header(connection, chain, vsock_op::reset, 0, 0));
        remove(connection);
        return written;
    }
    if (written == 0 && connection.is_told(Tell::shutdown)) {
        connection.told(Tell::shutdown);
        written =
            KVM_TRY(write_header(connection, chain, vsock_op::shutdown, 0, connection.host_shut));
    }
    if (written == 0 && connection.is_told(Tell::credit)) {
        written = KVM_TRY(write_header(connection, chain, vsock_op::credit_update, 0, 0));
    }
    if (written == 0 && connection.wants_credit()) {
        connection.asked = true;
        written = KVM_TRY(write_header(connection, chain, vsock_op::credit_request, 0, 0));
    }
    if (connection.has_something()) {
        enqueue(connection);
    }
    return written;
}

/// What the socket has, read where the guest wants it.
Result<std::uint32_t> Vsock::fill_data(Connection& connection, const Chain& chain) {
    const std::uint64_t room = std::min<std::uint64_t>(
        {chain.writable_bytes() - vsock_header_size, connection.credit(), most_data});
    iovecs_.clear();
    KVM_TRY(iovecs(host_->memory(), chain.writable, vsock_header_size, room, Access::read_write,
                   iovecs_));
    msghdr data = message(iovecs_);
    const ssize_t n = ::recvmsg(connection.fd.number(), &data, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        connection.readable = false;
        watch(connection);
        return 0;
    }
    if (n < 0) {
        give_up(connection);
        return 0;
    }
    if (n == 0) {
        end_of_input(connection);
        return 0;
    }
    mark_dirty(host_->memory(), chain.writable, vsock_header_size, static_cast<std::uint64_t>(n));
    connection.sent += static_cast<std::uint32_t>(n);
    return write_header(connection, chain, vsock_op::data, static_cast<std::uint32_t>(n), 0);
}

/// Returns the whole packet's length, with `length` bytes of data that are there already.
Result<std::uint32_t> Vsock::write_header(Connection& connection, const Chain& chain,
                                          std::uint16_t op, std::uint32_t length,
                                          std::uint32_t flags) {
    connection.told_forwarded = connection.forwarded;
    connection.told(Tell::credit);
    const VsockHeader header{.src_cid = host_cid,
                             .dst_cid = options_.cid,
                             .src_port = connection.host_port,
                             .dst_port = connection.guest_port,
                             .length = length,
                             .type = vsock_stream,
                             .op = op,
                             .flags = flags,
                             .buf_alloc = buffer_size,
                             .fwd_cnt = connection.forwarded};
    KVM_TRY(write(host_->memory(), chain.writable, 0,
                  std::as_bytes(std::span(&header, 1)).first(vsock_header_size)));
    return static_cast<std::uint32_t>(vsock_header_size + length);
}

}  // namespace vmm::virtio
