// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <deque>
#include <fmt/format.h>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <vmm/net/backend.hpp>

/// Frames made by hand, and read.
namespace vmm::test {

using Bytes = std::vector<std::byte>;

inline void append(Bytes& to, std::span<const std::byte> bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}
inline void append(Bytes& to, std::string_view text) { append(to, std::as_bytes(std::span(text))); }
/// Big-endian, as networks are.
inline void append_number(Bytes& to, std::uint64_t value, unsigned size) {
    for (unsigned i = size; i-- > 0;) {
        to.push_back(std::byte(value >> (8 * i)));
    }
}
inline std::uint64_t number_at(std::span<const std::byte> bytes, std::size_t at, unsigned size) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) {
        value = value << 8 | std::to_integer<std::uint64_t>(bytes[at + i]);
    }
    return value;
}
inline std::uint16_t internet_checksum(std::span<const std::byte> bytes, std::uint64_t sum = 0) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        sum += std::to_integer<std::uint64_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
    }
    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return static_cast<std::uint16_t>(~sum);
}

inline constexpr std::uint64_t guest_mac = 0x020000000001;
inline constexpr std::uint64_t everyone = 0xffffffffffff;
inline constexpr std::uint64_t slirp_mac = 0x52550a000202;
inline constexpr std::uint32_t slirp_host = 0x0a000202, slirp_dns = 0x0a000203,
                               slirp_guest = 0x0a00020f;

inline Bytes ethernet(std::uint64_t to, std::uint64_t from, unsigned type) {
    Bytes frame;
    append_number(frame, to, 6);
    append_number(frame, from, 6);
    append_number(frame, type, 2);
    return frame;
}
inline Bytes arp(unsigned operation, std::uint32_t from, std::uint32_t to) {
    Bytes frame = ethernet(operation == 1 ? everyone : slirp_mac, guest_mac, 0x0806);
    append_number(frame, 0x000108000604, 6);
    append_number(frame, operation, 2);
    append_number(frame, guest_mac, 6);
    append_number(frame, from, 4);
    append_number(frame, operation == 1 ? 0 : slirp_mac, 6);
    append_number(frame, to, 4);
    return frame;
}

enum class Checksum { full, partial };  // partial: of the pseudo header alone

/// An IPv4 packet in a frame; `checksum_at` in the payload is filled in.
inline Bytes ipv4_frame(std::uint64_t to_mac, unsigned protocol, std::uint32_t from,
                        std::uint32_t to, const Bytes& payload, std::size_t checksum_at,
                        Checksum checksum = Checksum::full) {
    Bytes header;
    append_number(header, 0x4500, 2);
    append_number(header, 20 + payload.size(), 2);
    append_number(header, 0x00000000, 4);
    append_number(header, 0x4000 | protocol, 2);
    append_number(header, 0, 2);
    append_number(header, from, 4);
    append_number(header, to, 4);
    const std::uint16_t sum = internet_checksum(header);
    header[10] = std::byte(sum >> 8);
    header[11] = std::byte(sum & 0xff);
    Bytes frame = ethernet(to_mac, guest_mac, 0x0800);
    append(frame, header);
    Bytes body = payload;
    const std::uint64_t pseudo =
        (from >> 16) + (from & 0xffff) + (to >> 16) + (to & 0xffff) + protocol + payload.size();
    const std::uint16_t found = checksum == Checksum::full
                                    ? internet_checksum(body, pseudo)
                                    : std::uint16_t(~internet_checksum({}, pseudo));
    body[checksum_at] = std::byte(found >> 8);
    body[checksum_at + 1] = std::byte(found & 0xff);
    append(frame, body);
    return frame;
}
inline Bytes udp(std::uint32_t from, unsigned from_port, std::uint32_t to, unsigned to_port,
                 const Bytes& data, std::uint64_t to_mac = slirp_mac) {
    Bytes payload;
    append_number(payload, from_port, 2);
    append_number(payload, to_port, 2);
    append_number(payload, 8 + data.size(), 2);
    append_number(payload, 0, 2);
    append(payload, data);
    return ipv4_frame(to_mac, 17, from, to, payload, 6);
}

/// What a TCP or UDP frame over IPv4 says.
struct Packet {
    unsigned protocol = 0;
    std::uint32_t from = 0, to = 0;
    unsigned from_port = 0, to_port = 0;
    std::uint32_t sequence = 0, acknowledged = 0;
    unsigned flags = 0;
    std::string data;

    static std::optional<Packet> read(std::span<const std::byte> frame) {
        if (frame.size() < 42 || number_at(frame, 12, 2) != 0x0800) {
            return std::nullopt;
        }
        Packet packet;
        packet.protocol = unsigned(number_at(frame, 23, 1));
        packet.from = std::uint32_t(number_at(frame, 26, 4));
        packet.to = std::uint32_t(number_at(frame, 30, 4));
        packet.from_port = unsigned(number_at(frame, 34, 2));
        packet.to_port = unsigned(number_at(frame, 36, 2));
        std::size_t data_at = 42;
        if (packet.protocol == 6) {
            packet.sequence = std::uint32_t(number_at(frame, 38, 4));
            packet.acknowledged = std::uint32_t(number_at(frame, 42, 4));
            data_at = 34 + 4 * (number_at(frame, 46, 1) >> 4);
            packet.flags = unsigned(number_at(frame, 47, 1));
        }
        const std::size_t end = std::min<std::size_t>(frame.size(), 14 + number_at(frame, 16, 2));
        const std::span text = frame.first(end).subspan(data_at);
        packet.data.assign(reinterpret_cast<const char*>(text.data()), text.size());
        return packet;
    }
};

/// The guest's end of a TCP connection.
struct TcpPeer {
    static constexpr unsigned fin = 1, syn = 2, push = 8, ack = 16;

    unsigned port;
    std::uint32_t other = slirp_host;
    unsigned other_port = 0;
    std::uint32_t next = 1000, expected = 0;

    Bytes frame(unsigned flags, std::string_view data = {}, Checksum checksum = Checksum::full) {
        Bytes payload;
        append_number(payload, port, 2);
        append_number(payload, other_port, 2);
        append_number(payload, next, 4);
        append_number(payload, expected, 4);
        append_number(payload, 0x5000 | flags, 2);
        append_number(payload, 0xffff, 2);
        append_number(payload, 0, 4);
        append(payload, data);
        next += static_cast<std::uint32_t>(data.size()) + ((flags & (syn | fin)) != 0 ? 1 : 0);
        return ipv4_frame(slirp_mac, 6, slirp_guest, other, payload, 16, checksum);
    }
    void saw(const Packet& packet) {
        expected = packet.sequence + static_cast<std::uint32_t>(packet.data.size()) +
                   ((packet.flags & (syn | fin)) != 0 ? 1 : 0);
    }
};

/// A guest on a backend, on a reactor that the test turns.
class NetPeer final : public net::Listener {
public:
    NetPeer(net::Backend& backend, Reactor& reactor) : backend_(backend), reactor_(reactor) {
        backend_.listen(this);
        for (std::uint16_t i = 0; i < backend_.queues(); ++i) {
            backend_.want(i, Ready::read);
        }
    }
    ~NetPeer() { backend_.listen(nullptr); }

    net::Outcome send(const Bytes& frame, net::Header header = {}, std::uint16_t queue = 0) {
        Bytes copy = frame;
        const std::array pieces{
            iovec{&header, sizeof header}, iovec{copy.data(), copy.size() / 2},
            iovec{copy.data() + copy.size() / 2, copy.size() - copy.size() / 2}};
        const net::Outcome outcome = backend_.send(queue, pieces);
        backend_.sent();
        return outcome;
    }
    /// The first frame that `is`, of those that come within some seconds; those before it are gone.
    /// Asked who has the guest's address, it answers.
    std::optional<Bytes> receive(const std::function<bool(const Bytes&)>& is,
                                 std::chrono::milliseconds patience = std::chrono::seconds(5)) {
        const auto end = std::chrono::steady_clock::now() + patience;
        do {
            while (!frames.empty()) {
                Bytes frame = std::move(frames.front());
                frames.pop_front();
                if (number_at(frame, 12, 2) == 0x0806 && number_at(frame, 20, 2) == 1) {
                    send(arp(2, slirp_guest, std::uint32_t(number_at(frame, 28, 4))));
                }
                if (is(frame)) {
                    return frame;
                }
            }
            reactor_.turn(std::chrono::milliseconds(5));
        } while (std::chrono::steady_clock::now() < end);
        return std::nullopt;
    }
    std::optional<Packet> receive_packet(
        const std::function<bool(const Packet&)>& is,
        std::chrono::milliseconds patience = std::chrono::seconds(5)) {
        const auto frame = receive(
            [&](const Bytes& bytes) {
                const auto packet = Packet::read(bytes);
                return packet && is(*packet);
            },
            patience);
        return frame ? Packet::read(*frame) : std::nullopt;
    }

    std::deque<Bytes> frames;
    net::Header last_header;
    std::vector<net::Link> links;
    std::vector<std::uint16_t> queues;  ///< in which the frames came

private:
    void receivable(std::uint16_t queue) override {
        for (;;) {
            Bytes frame(net::max_frame);
            const std::array pieces{iovec{&last_header, sizeof last_header},
                                    iovec{frame.data(), frame.size()}};
            const net::Arrival arrival = backend_.receive(queue, pieces);
            if (arrival.outcome != net::Outcome::done) {
                return;
            }
            frame.resize(arrival.length - sizeof last_header);
            frames.push_back(std::move(frame));
            queues.push_back(queue);
        }
    }
    void sendable(std::uint16_t /*queue*/) override {}
    void link_changed(net::Link link) override { links.push_back(link); }

    net::Backend& backend_;
    Reactor& reactor_;
};

}  // namespace vmm::test
