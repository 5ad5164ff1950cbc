// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <kvm/flags.hpp>
#include <span>
#include <string>
#include <string_view>
#include <sys/uio.h>
#include <vmm/device/reactor.hpp>
#include <vmm/error.hpp>

/// The host's side of a network: where a network device's frames go to and come from.
namespace vmm::net {

/// What stands before each frame, struct virtio_net_hdr_v1: virtio 1.2, 5.1.6. Little-endian.
struct Header {
    std::uint8_t flags = 0;         // 0
    std::uint8_t gso_type = 0;      // 1
    std::uint16_t hdr_len = 0;      // 2
    std::uint16_t gso_size = 0;     // 4
    std::uint16_t csum_start = 0;   // 6
    std::uint16_t csum_offset = 0;  // 8
    std::uint16_t num_buffers = 0;  // 10

    static constexpr std::uint8_t needs_csum = 1;  ///< flags: the checksum is to be computed
    static constexpr std::uint8_t data_valid = 2;  ///< flags: the checksum is right
    static constexpr std::uint8_t gso_none = 0;    ///< gso_type
};
static_assert(sizeof(Header) == 12);

/// The longest frame with segmentation offloads: 64 KiB of IP packet, and its Ethernet header with
/// a VLAN's tag.
inline constexpr std::size_t max_frame = 65535 + 18;

/// What one side may leave to the other.
enum class Offload : std::uint32_t {
    checksum = 1,  ///< to compute a frame's checksum
    tso4 = 2,      ///< to cut a long TCP segment in pieces, over IPv4
    tso6 = 4,      ///< the same over IPv6
    tso_ecn = 8,   ///< and with ECN's bits
    uso = 16,      ///< to cut a long UDP datagram in pieces, over both
};

enum class Link : std::uint8_t { down, up };

/// How a frame fared.
enum class Outcome : std::uint8_t {
    done,
    wait,     ///< not now: there is none, or no room for it
    dropped,  ///< it is refused and gone
};

struct Arrival {
    Outcome outcome = Outcome::wait;
    std::size_t length = 0;  ///< bytes, the header's too
};

}  // namespace vmm::net

template <>
inline constexpr bool kvm::is_flag_enum<vmm::net::Offload> = true;

namespace vmm::net {

using kvm::operator|;
using Offloads = kvm::Flags<Offload>;

/// Who hears of a Backend. On its reactor.
class Listener {
public:
    /// receive() may have a frame in that queue.
    virtual void receivable(std::uint16_t queue) = 0;
    /// send() may have room in that queue.
    virtual void sendable(std::uint16_t queue) = 0;
    /// Also while send() or receive() runs.
    virtual void link_changed(Link link) = 0;

protected:
    ~Listener() = default;
};

/// What a Backend is made with. The reactor outlives it; `log` hears of what happens to the network
/// on the host, a line each.
struct Wires {
    Reactor& reactor;
    std::function<void(const std::string&)> log;
};

/// A network of the host's. Everything but the destructor is called on its reactor.
class Backend {
public:
    Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    virtual ~Backend() = default;

    /// For messages: "tap0".
    virtual std::string_view name() const = 0;
    /// How many queues it has, each of which sends and receives.
    virtual std::uint16_t queues() const = 0;
    /// What it can do for frames that are sent.
    virtual Offloads takes() const = 0;
    /// What it can leave to who receives.
    virtual Offloads gives() const = 0;
    virtual Link link() const = 0;

    /// Who hears from now on; null: nobody.
    virtual void listen(Listener* listener) = 0;
    /// What the receiver can do: of gives(). Errors: the kernel's.
    virtual Result<void> set_offloads(Offloads receiver) = 0;
    /// How many of the queues are in use. Errors: the kernel's.
    virtual Result<void> use_queues(std::uint16_t count) = 0;

    /// Sends a frame with its Header, 12 bytes. What it says may be wrong in every way.
    virtual Outcome send(std::uint16_t queue, std::span<const iovec> frame) = 0;
    /// No more for now: what sending brought about is done.
    virtual void sent() = 0;
    /// Receives a frame with its Header, of which num_buffers is undefined. A frame that is longer
    /// than the buffers has their length; what is missing of it is gone.
    virtual Arrival receive(std::uint16_t queue, std::span<const iovec> buffers) = 0;
    /// What the listener wants to hear from now on: Ready::read for receivable(), Ready::write for
    /// sendable(). It hears read when something comes, or while something is there; so who did not
    /// receive until Outcome::wait must try again by itself.
    virtual void want(std::uint16_t queue, kvm::Flags<Ready> events) = 0;
};

}  // namespace vmm::net
