// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>
#include <vmm/virtio/vsock.hpp>

namespace vmm::virtio::detail {

/// virtio 1.2, 5.10.6.
struct VsockHeader {
    std::uint64_t src_cid;
    std::uint64_t dst_cid;
    std::uint32_t src_port;
    std::uint32_t dst_port;
    std::uint32_t length;
    std::uint16_t type;
    std::uint16_t op;
    std::uint32_t flags;
    std::uint32_t buf_alloc;
    std::uint32_t fwd_cnt;
};
inline constexpr std::size_t vsock_header_size = 44;
static_assert(offsetof(VsockHeader, fwd_cnt) + 4 == vsock_header_size);

namespace vsock_op {
inline constexpr std::uint16_t request = 1, response = 2, reset = 3, shutdown = 4, data = 5,
                               credit_update = 6, credit_request = 7;
}
inline constexpr std::uint16_t vsock_stream = 1;
inline constexpr std::uint32_t shut_receive = 1, shut_send = 2, shut_both = 3;
inline constexpr std::uint64_t host_cid = 2;
/// The longest packet, as Linux has it.
inline constexpr std::uint32_t most_data = 64 << 10;

using SteadyTime = std::chrono::steady_clock::time_point;

/// What a packet is to tell the guest; the lowest first.
enum class Tell : std::uint32_t {
    reset = 1,
    request = 2,
    response = 4,
    shutdown = 8,
    credit = 16,          ///< how much the host has taken
    credit_request = 32,  ///< to tell how much the guest has
};

struct VsockConnection {
    VsockConnection(std::uint32_t guest, std::uint32_t host, kvm::Fd socket)
        : guest_port(guest), host_port(host), fd(std::move(socket)) {}

    /// How much may be sent to the guest. Its words may be any.
    std::uint32_t credit() const {
        const std::uint32_t in_flight = sent - guest_forwarded;
        return in_flight < guest_buffer ? guest_buffer - in_flight : 0;
    }
    std::size_t waiting() const { return buffer.size() - flushed; }
    /// Room for so much more, behind what waits; what the socket has taken does not pile up.
    std::span<std::byte> append(std::size_t size) {
        if (flushed > buffer.size() / 2) {
            buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(flushed));
            flushed = 0;
        }
        buffer.resize(buffer.size() + size);
        return std::span(buffer).last(size);
    }
    bool may_read() const { return open && !end_of_input && !(guest_shut & shut_receive); }
    /// The socket has something that the guest has no room for.
    bool wants_credit() const { return may_read() && readable && credit() == 0 && !asked; }
    bool has_something() const {
        return to_tell != 0 || (may_read() && readable && (credit() > 0 || !asked));
    }
    void tell(Tell what) { to_tell |= static_cast<std::uint32_t>(what); }
    bool is_told(Tell what) const { return to_tell & static_cast<std::uint32_t>(what); }
    void told(Tell what) { to_tell &= ~static_cast<std::uint32_t>(what); }

    std::uint32_t guest_port;
    std::uint32_t host_port;
    kvm::Fd fd;
    std::optional<Reactor::Watch> watch;
    bool open = false;             // both sides agreed
    bool readable = false;         // the socket may have something for the guest
    bool end_of_input = false;     // it has nothing any more
    bool gone = false;             // its peer: a descriptor that is always ready is not waited for
    bool deaf = false;             // the peer takes nothing: what comes for it is dropped
    bool in_ready = false;         // of the device's list
    bool asked = false;            // the guest for credit, since it last had some
    kvm::Flags<Ready> watched;     // what watch waits for
    std::uint32_t to_tell = 0;     // of Tell
    std::uint32_t guest_shut = 0;  // what the guest does no more
    std::uint32_t host_shut = 0;   // what the host does no more
    bool write_shut = false;       // shutdown(2) was called
    std::optional<SteadyTime> deadline;

    std::vector<std::byte> buffer;  // the guest's, for the socket
    std::size_t flushed = 0;        // of it

    // Flow control: 5.10.6.3. All of them wrap.
    std::uint32_t guest_buffer = 0, guest_forwarded = 0, sent = 0;
    std::uint32_t received = 0, forwarded = 0, told_forwarded = 0;
};

/// Somebody who connected and has not said to which port.
struct VsockGreeting {
    explicit VsockGreeting(kvm::Fd socket) : fd(std::move(socket)) {}

    kvm::Fd fd;
    std::string line;
    std::optional<Reactor::Watch> watch;
    std::optional<SteadyTime> deadline;
};

}  // namespace vmm::virtio::detail
