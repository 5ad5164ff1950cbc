// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <sys/stat.h>
#include <vmm/device/unix_socket.hpp>
#include <vmm/net/user.hpp>
#include <vmm/net/user_address.hpp>

namespace vmm::net {

namespace {

bool read_port(std::string_view text, std::uint16_t& port) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return error == std::errc() && end == text.data() + text.size() && port != 0;
}

/// What stands before the last colon; `rest` is what stands after it.
std::string_view cut_last(std::string_view text, std::string_view& rest) {
    const std::size_t colon = text.rfind(':');
    rest = colon == text.npos ? text : text.substr(colon + 1);
    return colon == text.npos ? std::string_view() : text.substr(0, colon);
}

Result<void> check_service(const Service& service) {
    const auto address = parse_ipv4(service.address);
    if (!address || !in_network(*address) || *address == host_address || *address == dns_address) {
        return fail(fmt::format("'{}' is not an address of the guest's network, such as 10.0.2.100",
                                service.address),
                    EINVAL);
    }
    if (parse_tcp_target(service.target)) {
        return {};
    }
    return check_socket_path(service.target);
}

}  // namespace

std::optional<std::uint32_t> parse_ipv4(const std::string& text) {
    in_addr address{};
    if (::inet_pton(AF_INET, text.c_str(), &address) != 1) {
        return std::nullopt;
    }
    return ntohl(address.s_addr);
}

std::optional<TcpTarget> parse_tcp_target(std::string_view text) {
    std::string_view port;
    const auto address = parse_ipv4(std::string(cut_last(text, port)));
    TcpTarget target;
    if (!address || !read_port(port, target.port)) {
        return std::nullopt;
    }
    target.address = *address;
    return target;
}

Result<Forward> Forward::parse(const std::string& text) {
    Forward forward;
    std::string_view guest, host, before;
    before = cut_last(text, guest);
    before = cut_last(before, host);
    std::string_view address;
    std::string_view protocol = before;
    if (const std::size_t colon = before.find(':'); colon != before.npos) {
        protocol = before.substr(0, colon);
        address = before.substr(colon + 1);
    }
    if ((protocol != "tcp" && protocol != "udp") || !read_port(guest, forward.guest_port) ||
        !read_port(host, forward.host_port)) {
        return fail(
            fmt::format("'{}' is not PROTOCOL:[ADDRESS:]HOST:GUEST, such as tcp:2222:22", text),
            EINVAL);
    }
    forward.protocol = protocol == "tcp" ? Protocol::tcp : Protocol::udp;
    if (!address.empty()) {
        forward.host_address = std::string(address);
    }
    if (!parse_ipv4(forward.host_address)) {
        return fail(fmt::format("'{}' is not an IPv4 address", address), EINVAL);
    }
    return forward;
}

std::string Forward::text() const {
    return fmt::format("{}:{}:{}:{}", protocol == Protocol::tcp ? "tcp" : "udp", host_address,
                       host_port, guest_port);
}

Result<Service> Service::parse(const std::string& text) {
    Service service;
    const std::size_t first = text.find(':');
    const std::size_t second = first == text.npos ? first : text.find(':', first + 1);
    if (second == text.npos || second + 1 == text.size() ||
        !read_port(std::string_view(text).substr(first + 1, second - first - 1), service.port)) {
        return fail(
            fmt::format("'{}' is not ADDRESS:PORT:TARGET, such as 10.0.2.100:80:web.sock or "
                        "10.0.2.100:80:127.0.0.1:8080",
                        text),
            EINVAL);
    }
    service.address = text.substr(0, first);
    service.target = text.substr(second + 1);
    KVM_TRY(check_service(service));
    return service;
}

std::string Service::text() const { return fmt::format("{}:{}:{}", address, port, target); }

Result<void> check(const UserOptions& options) {
    for (const Forward& forward : options.forwards) {
        if (!parse_ipv4(forward.host_address) || forward.host_port == 0 ||
            forward.guest_port == 0) {
            return fail(fmt::format("forward: '{}' is not possible", forward.text()), EINVAL);
        }
    }
    for (const Service& service : options.services) {
        if (auto done = check_service(service); !done) {
            return fail("service: " + done.error().message, EINVAL);
        }
        const auto same = [&](const Service& other) {
            return other.address == service.address && other.port == service.port;
        };
        if (std::ranges::count_if(options.services, same) > 1) {
            return fail(fmt::format("service: {}:{} is given twice", service.address, service.port),
                        EINVAL);
        }
    }
    if (options.mtu < min_mtu || options.mtu > max_mtu) {
        return fail(fmt::format("mtu: {} is not from {} to {}", options.mtu, min_mtu, max_mtu),
                    EINVAL);
    }
    if (!options.tftp.empty()) {
        struct stat found{};
        if (::stat(options.tftp.c_str(), &found) != 0) {
            return fail_errno("tftp: " + options.tftp, errno);
        }
        if (!S_ISDIR(found.st_mode)) {
            return fail_errno("tftp: " + options.tftp, ENOTDIR);
        }
    }
    return {};
}

}  // namespace vmm::net
