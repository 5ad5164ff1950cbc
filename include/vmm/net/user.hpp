// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>
#include <vmm/net/backend.hpp>

namespace vmm::net {

enum class Protocol : std::uint8_t { tcp, udp };

/// A port of the host's that leads to one of the guest's.
struct Forward {
    Protocol protocol = Protocol::tcp;
    std::string host_address = "127.0.0.1";  ///< IPv4; "0.0.0.0" for all of the host's
    std::uint16_t host_port = 0;
    std::uint16_t guest_port = 0;

    /// "tcp:[ADDRESS:]HOST:GUEST". Errors: EINVAL.
    static Result<Forward> parse(const std::string& text);
    std::string text() const;
    friend bool operator==(const Forward&, const Forward&) = default;
};

/// A port of the guest's network that leads to a socket of the host's: TCP. It is there also in a
/// restricted network. At most 256 connections at once; one whose target cannot be reached begins
/// and ends at once, and that is logged.
struct Service {
    std::string address{};  ///< of the network, IPv4: "10.0.2.100"
    std::uint16_t port = 0;
    /// "ADDRESS:PORT", which is IPv4 and TCP, or else a UNIX socket's path; "./1.2.3.4:5" is a
    /// path.
    std::string target{};

    /// "ADDRESS:PORT:TARGET". Errors: EINVAL, ENAMETOOLONG.
    static Result<Service> parse(const std::string& text);
    std::string text() const;
    friend bool operator==(const Service&, const Service&) = default;
};

/// What the guest of a user network may reach.
enum class Reach : std::uint8_t {
    everything,  ///< what this process may, the host's own 127.0.0.1 too, as 10.0.2.2
    outside,     ///< the same but the host's 127.0.0.1
    nothing,     ///< but Services, DHCP, TFTP; forwarded ports reach the guest
};

struct UserOptions {
    std::vector<Forward> forwards{};
    std::vector<Service> services{};
    std::string tftp{};       ///< a directory that the guest may read by TFTP, at 10.0.2.2
    std::string boot_file{};  ///< in it: what DHCP names
    std::string host_name{};  ///< the guest's, by DHCP
    std::uint16_t mtu = 1500;
    Reach reach = Reach::everything;

    friend bool operator==(const UserOptions&, const UserOptions&) = default;
};

/// Errors: EINVAL, what is wrong with them.
Result<void> check(const UserOptions& options);

/// A network of the guest alone, by libslirp: its TCP, UDP and pings are this process's own
/// sockets, so nobody needs privileges. The guest is 10.0.2.15 by DHCP, its gateway and the host
/// 10.0.2.2, DNS (the host's first server) 10.0.2.3; over IPv6 fec0::/64 with fec0::2 and fec0::3.
/// Frames that the guest does not take for long are lost, as on any network.
///
/// libslirp has a few variables for all its networks: here they take turns, with one lock.
///
/// Errors: ENOSYS (built without libslirp, or it is not installed), check()'s, bind(2)'s of a
/// forward.
Result<std::unique_ptr<Backend>> create_user_network(const UserOptions& options, Wires wires);

}  // namespace vmm::net
