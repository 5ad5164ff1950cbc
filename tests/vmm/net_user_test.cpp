// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <arpa/inet.h>
#include <filesystem>
#include <fstream>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vmm/device/unix_socket.hpp>
#include <vmm/net/user.hpp>
#include <vmm/net_frames.hpp>
#include <vmm/result.hpp>

namespace vmm::test {
namespace {

using net::Outcome;

/// A socket on 127.0.0.1, and its port.
class HostSocket {
public:
    explicit HostSocket(int type) : fd_(::socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
        sockaddr_in address = loopback(0);
        EXPECT_EQ(::bind(fd_.number(), raw(address), sizeof address), 0);
        socklen_t size = sizeof address;
        EXPECT_EQ(::getsockname(fd_.number(), raw(address), &size), 0);
        port_ = ntohs(address.sin_port);
        if (type == SOCK_STREAM) {
            EXPECT_EQ(::listen(fd_.number(), 8), 0);
        }
    }
    std::uint16_t port() const { return port_; }
    int fd() const { return fd_.number(); }
    kvm::Fd accept() const { return kvm::Fd(::accept4(fd(), nullptr, nullptr, SOCK_CLOEXEC)); }
    static sockaddr_in loopback(std::uint16_t port) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(port);
        return address;
    }
    template <class T>
    static sockaddr* raw(T& address) {
        return reinterpret_cast<sockaddr*>(&address);
    }

private:
    kvm::Fd fd_;
    std::uint16_t port_ = 0;
};

std::string read_some(int fd) {
    std::array<char, 4096> text;
    const ssize_t n = ::recv(fd, text.data(), text.size(), 0);
    return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
}

class UserNet : public ::testing::Test {
protected:
    void start(const net::UserOptions& options = {}) {
        auto made = net::create_user_network(options, wires());
        if (code(made) == ENOSYS) {
            GTEST_SKIP() << message(made);
        }
        backend = must(std::move(made));
        guest.emplace(*backend, *reactor);
    }
    net::Wires wires() {
        return {*reactor, [this](const std::string& line) { log.push_back(line); }};
    }
    void TearDown() override {
        guest.reset();
        backend.reset();
    }
    /// Opens a connection from the guest; false if it is refused or there is no answer.
    bool open(TcpPeer& peer, Checksum checksum = Checksum::full,
              std::chrono::milliseconds patience = std::chrono::seconds(5)) {
        net::Header header;
        if (checksum == Checksum::partial) {
            header = {.flags = net::Header::needs_csum, .csum_start = 34, .csum_offset = 16};
        }
        guest->send(peer.frame(TcpPeer::syn, {}, checksum), header);
        const auto answer = guest->receive_packet(
            [&](const Packet& p) { return p.protocol == 6 && p.to_port == peer.port; }, patience);
        if (!answer || answer->flags != (TcpPeer::syn | TcpPeer::ack)) {
            return false;
        }
        peer.saw(*answer);
        guest->send(peer.frame(TcpPeer::ack));
        return true;
    }
    /// Waits for it, while the network goes on.
    bool readable(int fd) {
        pollfd wanted{fd, POLLIN, 0};
        for (int i = 0; i < 2000 && ::poll(&wanted, 1, 0) == 0; ++i) {
            reactor->turn(std::chrono::milliseconds(10));
        }
        return wanted.revents != 0;
    }
    /// Data of that connection's that the guest gets.
    std::string data(TcpPeer& peer) {
        const auto packet = guest->receive_packet([&](const Packet& p) {
            return p.protocol == 6 && p.to_port == peer.port && !p.data.empty();
        });
        if (packet) {
            peer.saw(*packet);
            guest->send(peer.frame(TcpPeer::ack));
        }
        return packet ? packet->data : "";
    }

    std::unique_ptr<Reactor> reactor = must(Reactor::create());
    std::unique_ptr<net::Backend> backend;
    std::optional<NetPeer> guest;
    std::vector<std::string> log;
};

TEST_F(UserNet, TheHostAnswersArp) {
    start();
    if (!backend) return;
    EXPECT_EQ(guest->send(arp(1, slirp_guest, slirp_host)), Outcome::done);
    const auto answer =
        guest->receive([](const Bytes& f) { return number_at(f, 12, 2) == 0x0806; });
    ASSERT_TRUE(answer);
    EXPECT_EQ(number_at(*answer, 20, 2), 2u);
    EXPECT_EQ(number_at(*answer, 22, 6), slirp_mac);
    EXPECT_EQ(number_at(*answer, 28, 4), slirp_host);
}

TEST_F(UserNet, DhcpOffersAnAddressAndTheHostsName) {
    start({.host_name = "kitten"});
    if (!backend) return;
    Bytes discover;
    append_number(discover, 0x01010600, 4);
    append_number(discover, 0x1234, 4);
    discover.resize(28);
    append_number(discover, guest_mac, 6);
    discover.resize(236);
    append_number(discover, 0x63825363, 4);
    append_number(discover, 0x350101ff, 4);
    discover.resize(300);
    guest->send(udp(0, 68, 0xffffffff, 67, discover, everyone));
    const auto offer = guest->receive_packet([](const Packet& p) { return p.to_port == 68; });
    ASSERT_TRUE(offer);
    const auto bytes = std::as_bytes(std::span(offer->data));
    EXPECT_EQ(number_at(bytes, 16, 4), slirp_guest);
    EXPECT_NE(offer->data.find("kitten"), std::string::npos);
}

TEST_F(UserNet, TcpGoesToTheHostAndBack) {
    const HostSocket server(SOCK_STREAM);
    start();
    if (!backend) return;
    TcpPeer peer{.port = 5000, .other_port = server.port()};
    ASSERT_TRUE(open(peer));
    const kvm::Fd accepted = server.accept();
    guest->send(peer.frame(TcpPeer::ack | TcpPeer::push, "from the guest"));
    EXPECT_EQ(read_some(accepted.number()), "from the guest");
    ASSERT_EQ(::send(accepted.number(), "from the host", 13, 0), 13);
    EXPECT_EQ(data(peer), "from the host");
}

TEST_F(UserNet, ChecksumsAndLongSegmentsAreTheBackendsWork) {
    const HostSocket server(SOCK_STREAM);
    start();
    if (!backend) return;
    must(backend->set_offloads(net::Offload::checksum));
    TcpPeer peer{.port = 5000, .other_port = server.port()};
    ASSERT_TRUE(open(peer, Checksum::partial));
    EXPECT_EQ(guest->last_header.flags, net::Header::data_valid);
    const kvm::Fd accepted = server.accept();
    const std::string text(30000, 'x');
    guest->send(peer.frame(TcpPeer::ack | TcpPeer::push, text, Checksum::partial),
                {.flags = net::Header::needs_csum,
                 .gso_type = 1,
                 .hdr_len = 54,
                 .gso_size = 1460,
                 .csum_start = 34,
                 .csum_offset = 16});
    std::string got;
    while (got.size() < text.size()) {
        reactor->turn(std::chrono::milliseconds(1));
        const std::string more = read_some(accepted.number());
        ASSERT_FALSE(more.empty());
        got += more;
    }
    EXPECT_EQ(got, text);
}

TEST_F(UserNet, AForwardedPortLeadsToTheGuest) {
    const std::uint16_t port = HostSocket(SOCK_STREAM).port();
    start({.forwards = {{.host_port = port, .guest_port = 22}}});
    if (!backend) return;
    guest->send(arp(1, slirp_guest, slirp_host));
    const kvm::Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = HostSocket::loopback(port);
    ASSERT_EQ(::connect(client.number(), HostSocket::raw(address), sizeof address), 0);
    const auto syn = guest->receive_packet([](const Packet& p) { return p.to_port == 22; });
    ASSERT_TRUE(syn);
    EXPECT_EQ(syn->flags, TcpPeer::syn);
    TcpPeer peer{.port = 22, .other = syn->from, .other_port = syn->from_port};
    peer.saw(*syn);
    guest->send(peer.frame(TcpPeer::syn | TcpPeer::ack));
    guest->send(peer.frame(TcpPeer::ack | TcpPeer::push, "SSH-2.0-guest"));
    for (int i = 0; i < 100; ++i) {
        reactor->turn(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(read_some(client.number()), "SSH-2.0-guest");
    ASSERT_EQ(::send(client.number(), "hello", 5, 0), 5);
    EXPECT_EQ(data(peer), "hello");
}

TEST_F(UserNet, AForwardedUdpPortLeadsToTheGuest) {
    const std::uint16_t port = HostSocket(SOCK_DGRAM).port();
    start({.forwards = {{.protocol = net::Protocol::udp, .host_port = port, .guest_port = 53}}});
    if (!backend) return;
    guest->send(arp(1, slirp_guest, slirp_host));
    const HostSocket client(SOCK_DGRAM);
    sockaddr_in address = HostSocket::loopback(port);
    ASSERT_EQ(::sendto(client.fd(), "question", 8, 0, HostSocket::raw(address), sizeof address), 8);
    const auto question = guest->receive_packet([](const Packet& p) { return p.to_port == 53; });
    ASSERT_TRUE(question);
    EXPECT_EQ(question->data, "question");
    Bytes answer;
    append(answer, "answer");
    guest->send(udp(slirp_guest, 53, question->from, question->from_port, answer));
    EXPECT_EQ(read_some(client.fd()), "answer");
}

TEST_F(UserNet, AServiceLeadsToASocketEvenOfARestrictedNetwork) {
    const auto server = must(ListeningSocket::create(std::filesystem::temp_directory_path() /
                                                     fmt::format("kvmxx-net-{}.sock", ::getpid())));
    const HostSocket other(SOCK_STREAM);
    start({.services = {{"10.0.2.100", 80, server.path()}}, .reach = net::Reach::nothing});
    if (!backend) return;
    TcpPeer peer{.port = 5000, .other = 0x0a000264, .other_port = 80};
    EXPECT_TRUE(open(peer));
    ASSERT_TRUE(readable(server.fd().number()));
    const kvm::Fd accepted = server.accept();
    guest->send(peer.frame(TcpPeer::ack | TcpPeer::push, "GET /"));
    ASSERT_TRUE(readable(accepted.number()));
    EXPECT_EQ(read_some(accepted.number()), "GET /");
    TcpPeer refused{.port = 5001, .other_port = other.port()};
    EXPECT_FALSE(open(refused, Checksum::full, std::chrono::milliseconds(200)));
}

TEST_F(UserNet, TheHostsLoopbackCanBeOutOfReach) {
    const HostSocket server(SOCK_STREAM);
    start({.reach = net::Reach::outside});
    if (!backend) return;
    TcpPeer peer{.port = 5000, .other_port = server.port()};
    EXPECT_FALSE(open(peer, Checksum::full, std::chrono::milliseconds(200)));
}

TEST_F(UserNet, TftpGivesFilesOfADirectoryAndNoOthers) {
    const std::filesystem::path directory =
        std::filesystem::temp_directory_path() / fmt::format("kvmxx-tftp-{}", ::getpid());
    std::filesystem::create_directory(directory);
    std::ofstream(directory / "greeting") << "good morning";
    start({.tftp = directory});
    if (!backend) {
        std::filesystem::remove_all(directory);
        return;
    }
    const auto ask = [&](std::string_view file) {
        Bytes request;
        append_number(request, 1, 2);
        append(request, file);
        append_number(request, 0, 1);
        append(request, "octet");
        append_number(request, 0, 1);
        guest->send(udp(slirp_guest, 3000, slirp_host, 69, request));
        const auto answer =
            guest->receive_packet([](const Packet& p) { return p.to_port == 3000; });
        return answer ? answer->data : "";
    };
    guest->send(arp(1, slirp_guest, slirp_host));
    EXPECT_EQ(ask("greeting"), std::string("\0\3\0\1good morning", 16));
    EXPECT_EQ(ask("../../etc/hostname").substr(0, 2), std::string("\0\5", 2));
    std::filesystem::remove_all(directory);
}

TEST_F(UserNet, DnsIsTheHosts) {
    addrinfo* found = nullptr;
    if (::getaddrinfo("deb.debian.org", nullptr, nullptr, &found) != 0) {
        GTEST_SKIP() << "this host resolves no names";
    }
    ::freeaddrinfo(found);
    start();
    if (!backend) return;
    Bytes question;
    append_number(question, 0x7777'0100'0001'0000, 8);
    append_number(question, 0, 4);
    for (const std::string_view label : {"deb", "debian", "org"}) {
        append_number(question, label.size(), 1);
        append(question, label);
    }
    append_number(question, 0, 1);
    append_number(question, 0x00010001, 4);
    guest->send(arp(1, slirp_guest, slirp_host));
    guest->send(udp(slirp_guest, 4000, slirp_dns, 53, question));
    const auto answer = guest->receive_packet([](const Packet& p) { return p.to_port == 4000; });
    ASSERT_TRUE(answer);
    EXPECT_EQ(number_at(std::as_bytes(std::span(answer->data)), 0, 2), 0x7777u);
}

TEST_F(UserNet, FramesThatCannotBeAreDropped) {
    start();
    if (!backend) return;
    EXPECT_EQ(guest->send({}), Outcome::dropped);
    EXPECT_EQ(guest->send(Bytes(13)), Outcome::dropped);
    EXPECT_EQ(guest->send(Bytes(100)), Outcome::dropped);  // of no known type
    EXPECT_EQ(guest->send(Bytes(net::max_frame + 1)), Outcome::dropped);
    const Bytes good = arp(1, slirp_guest, slirp_host);
    EXPECT_EQ(guest->send(good, {.gso_type = 1}), Outcome::dropped);  // without a checksum
    EXPECT_EQ(guest->send(good, {.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff}),
              Outcome::dropped);
    EXPECT_EQ(guest->send(good, {.flags = 1, .csum_start = 41, .csum_offset = 0}),
              Outcome::dropped);
    EXPECT_EQ(guest->send(Bytes(good.begin(), good.begin() + 14)), Outcome::done);  // padded
    EXPECT_EQ(guest->send(good), Outcome::done);
    EXPECT_TRUE(guest->receive([](const Bytes& f) { return number_at(f, 12, 2) == 0x0806; }));
}

TEST_F(UserNet, AGuestThatTakesNothingFillsNoMemory) {
    start();
    if (!backend) return;
    backend->want(0, {});
    const Bytes question = arp(1, slirp_guest, slirp_host);
    for (int i = 0; i < 100'000; ++i) {
        ASSERT_EQ(guest->send(question), Outcome::done);
    }
    int answers = 0;
    std::array<std::byte, 256> room;
    const std::array pieces{iovec{room.data(), room.size()}};
    while (backend->receive(0, pieces).outcome == Outcome::done) {
        ++answers;
    }
    EXPECT_GT(answers, 1000);
    EXPECT_LT(answers, 100'000);
    EXPECT_EQ(guest->send(question), Outcome::done);
    EXPECT_EQ(backend->receive(0, pieces).outcome, Outcome::done);
}

TEST_F(UserNet, WithoutConnectionsItSleeps) {
    start();
    if (!backend) return;
    guest->send(arp(1, slirp_guest, slirp_host));
    reactor->turn(std::chrono::milliseconds(0));
    EXPECT_EQ(reactor->turn(std::chrono::milliseconds(1200)), 0);
}

TEST_F(UserNet, ManyNetworksAtOnceAreApart) {
    std::vector<std::unique_ptr<net::Backend>> many;
    for (int i = 0; i < 8; ++i) {
        auto made = net::create_user_network({}, wires());
        if (code(made) == ENOSYS) {
            GTEST_SKIP() << message(made);
        }
        many.push_back(must(std::move(made)));
    }
    NetPeer first(*many[0], *reactor), second(*many[1], *reactor);
    first.send(arp(1, slirp_guest, slirp_host));
    EXPECT_EQ(first.frames.size(), 1u);
    EXPECT_EQ(second.frames.size(), 0u);
}

TEST_F(UserNet, WhatCannotBeIsAnErrorThatNamesIt) {
    const HostSocket taken(SOCK_STREAM);
    const auto refusal = [&](const net::UserOptions& options) {
        return message(net::create_user_network(options, wires()));
    };
    EXPECT_EQ(refusal({.tftp = "/nowhere"}), "tftp: /nowhere: No such file or directory");
    EXPECT_EQ(refusal({.tftp = "/etc/passwd"}), "tftp: /etc/passwd: Not a directory");
    EXPECT_EQ(refusal({.mtu = 100}), "mtu: 100 is not from 1280 to 65521");
    EXPECT_EQ(refusal({.services = {{"10.0.2.2", 80, "x"}}}),
              "service: '10.0.2.2' is not an address of the guest's network, such as 10.0.2.100");
    const net::Service twice{"10.0.2.9", 80, "x"};
    EXPECT_EQ(refusal({.services = {twice, twice}}), "service: 10.0.2.9:80 is given twice");
    start();
    if (!backend) return;
    EXPECT_EQ(refusal({.forwards = {{.host_port = taken.port(), .guest_port = 1}}}),
              fmt::format("user network: forward tcp:127.0.0.1:{}:1: Address already in use",
                          taken.port()));
}

}  // namespace
}  // namespace vmm::test
