// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// The user network's addresses, IPv4, in the host's byte order.
namespace vmm::net {

inline constexpr std::uint32_t network = 0x0a000200;
inline constexpr std::uint32_t network_mask = 0xffffff00;
inline constexpr std::uint32_t host_address = network + 2;
inline constexpr std::uint32_t dns_address = network + 3;
inline constexpr std::uint32_t guest_address = network + 15;

// What libslirp takes: IPv6's least, and what fits its buffers.
inline constexpr std::uint16_t min_mtu = 1280;
inline constexpr std::uint16_t max_mtu = 65521;

inline bool in_network(std::uint32_t address) { return (address & network_mask) == network; }

/// Nothing if it is no such address.
std::optional<std::uint32_t> parse_ipv4(const std::string& text);

struct TcpTarget {
    std::uint32_t address = 0;
    std::uint16_t port = 0;
};

/// A Service's target that is "ADDRESS:PORT"; nothing: it is a path.
std::optional<TcpTarget> parse_tcp_target(std::string_view text);

}  // namespace vmm::net
