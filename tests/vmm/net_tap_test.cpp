// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/net/tap.hpp>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vmm/net_frames.hpp>
#include <vmm/result.hpp>

namespace vmm::test {
namespace {

using net::Link;
using net::Outcome;

/// In a network namespace of the test's own, where it may make interfaces.
class TapNet : public ::testing::Test {
protected:
    void SetUp() override {
        const kvm::Fd tun(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
        if (!tun.valid() || ::unshare(CLONE_NEWNET) != 0) {
            home_ = kvm::Fd(-1);
            GTEST_SKIP() << "needs /dev/net/tun and CAP_NET_ADMIN";
        }
        reactor = must(Reactor::create());
    }
    void TearDown() override {
        guest.reset();
        tap.reset();
        if (home_.valid()) {
            EXPECT_EQ(::setns(home_.number(), CLONE_NEWNET), 0);
        }
    }

    static ifreq named(const char* name) {
        ifreq ifr{};
        std::string_view(name).copy(ifr.ifr_name, IFNAMSIZ - 1);
        return ifr;
    }
    /// `ip tuntap add`, or del.
    enum class Persist { no, yes };
    static void make(const char* name, int flags, Persist persist) {
        const kvm::Fd tun = open(name, flags);
        ASSERT_EQ(::ioctl(tun.number(), TUNSETPERSIST, persist == Persist::yes ? 1 : 0), 0);
    }
    static kvm::Fd open(const char* name, int flags) {
        kvm::Fd tun(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
        ifreq ifr = named(name);
        ifr.ifr_flags = static_cast<short>(flags);
        EXPECT_EQ(::ioctl(tun.number(), TUNSETIFF, &ifr), 0) << ::strerror(errno);
        return tun;
    }
    /// `ip link set up` with 10.9.0.1/8, or down.
    void set_link(const char* name, Link link) const {
        ifreq ifr = named(name);
        if (link == Link::up) {
            sockaddr_in address{};
            address.sin_family = AF_INET;
            address.sin_addr.s_addr = htonl(0x0a090001);
            std::memcpy(&ifr.ifr_addr, &address, sizeof address);
            ASSERT_EQ(::ioctl(socket(), SIOCSIFADDR, &ifr), 0);
        }
        ifr = named(name);
        ASSERT_EQ(::ioctl(socket(), SIOCGIFFLAGS, &ifr), 0);
        const int flags = link == Link::up ? ifr.ifr_flags | IFF_UP : ifr.ifr_flags & ~IFF_UP;
        ifr.ifr_flags = static_cast<short>(flags);
        ASSERT_EQ(::ioctl(socket(), SIOCSIFFLAGS, &ifr), 0);
    }
    int socket() const {
        if (!socket_.valid()) {
            socket_ = kvm::Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            const int on = 1;
            EXPECT_EQ(::setsockopt(socket_.number(), SOL_SOCKET, SO_BROADCAST, &on, sizeof on), 0);
            sockaddr_in any{};
            any.sin_family = AF_INET;
            any.sin_port = htons(7000);
            EXPECT_EQ(::bind(socket_.number(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
        }
        return socket_.number();
    }
    void start(const net::TapOptions& options) {
        tap = must(net::Tap::create(
            options, {*reactor, [this](const std::string& line) { log.push_back(line); }}));
        guest.emplace(*tap, *reactor);
    }
    /// A frame from the guest arrives at the host, and one from the host at the guest.
    void expect_traffic(std::uint16_t queue = 0) {
        Bytes text;
        append(text, "to the host");
        ASSERT_EQ(guest->send(udp(0x0a090002, 9, 0x0a090001, 7000, text, everyone), {}, queue),
                  Outcome::done);
        std::array<char, 64> room;
        ASSERT_EQ(::recv(socket(), room.data(), room.size(), 0), 11);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(9);
        address.sin_addr.s_addr = htonl(0x0affffff);
        // The kernel drops what is sent before it has seen, a little later, that the interface has
        // a user.
        std::optional<Packet> got;
        for (int i = 0; i < 50 && !got; ++i) {
            ASSERT_EQ(::sendto(socket(), "to the guest", 12, 0,
                               reinterpret_cast<sockaddr*>(&address), sizeof address),
                      12);
            got = guest->receive_packet([](const Packet& p) { return p.to_port == 9; },
                                        std::chrono::milliseconds(100));
        }
        ASSERT_TRUE(got);
        EXPECT_EQ(got->data, "to the guest");
    }
    void settle() {
        while (reactor->turn(std::chrono::milliseconds(20)) > 0) {
        }
    }

    std::unique_ptr<Reactor> reactor;
    std::unique_ptr<net::Tap> tap;
    std::optional<NetPeer> guest;
    std::vector<std::string> log;

private:
    kvm::Fd home_{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
    mutable kvm::Fd socket_{-1};
};

TEST_F(TapNet, FramesGoBothWays) {
    make("tap0", IFF_TAP, Persist::yes);
    set_link("tap0", Link::up);
    start({.name = "tap0"});
    EXPECT_EQ(tap->link(), Link::up);
    EXPECT_EQ(tap->name(), "tap0");
    EXPECT_TRUE(tap->takes().has(net::Offload::tso4 | net::Offload::checksum));
    expect_traffic();
    EXPECT_EQ(log, std::vector<std::string>{});
}

TEST_F(TapNet, TheKernelComputesChecksumsAndRefusesHeadersThatLie) {
    make("tap0", IFF_TAP, Persist::yes);
    set_link("tap0", Link::up);
    start({.name = "tap0"});
    must(tap->set_offloads(net::Offload::checksum | net::Offload::tso4));
    expect_traffic();
    Bytes text;
    append(text, "x");
    Bytes frame = udp(0x0a090002, 9, 0x0a090001, 7000, text, everyone);
    // A partial checksum: of the pseudo header alone.
    const std::uint64_t pseudo = 0x0a09 + 2 + 0x0a09 + 1 + 17 + 9;
    frame[40] = std::byte(pseudo >> 8);
    frame[41] = std::byte(pseudo & 0xff);
    EXPECT_EQ(guest->send(frame, {.flags = 1, .csum_start = 34, .csum_offset = 6}), Outcome::done);
    std::array<char, 64> room;
    EXPECT_EQ(::recv(socket(), room.data(), room.size(), 0), 1);
    EXPECT_EQ(guest->send(frame, {.flags = 1, .csum_start = 0xfff0}), Outcome::dropped);
    EXPECT_EQ(guest->send(frame, {.gso_type = 77, .gso_size = 1}), Outcome::dropped);
    EXPECT_EQ(guest->send(frame, {.gso_type = 1, .gso_size = 0}), Outcome::dropped);
    EXPECT_EQ(guest->send({}), Outcome::dropped);
    expect_traffic();
}

TEST_F(TapNet, AnInterfaceThatGoesDownComesBack) {
    make("tap0", IFF_TAP, Persist::yes);
    set_link("tap0", Link::up);
    start({.name = "tap0"});
    set_link("tap0", Link::down);
    settle();
    EXPECT_EQ(guest->links, std::vector{Link::down});
    EXPECT_EQ(guest->send(arp(1, 1, 2)), Outcome::dropped);
    EXPECT_EQ(reactor->turn(std::chrono::milliseconds(50)), 0);  // nothing spins
    set_link("tap0", Link::up);
    settle();
    EXPECT_EQ(guest->links, (std::vector{Link::down, Link::up}));
    EXPECT_EQ(log, (std::vector<std::string>{"tap tap0: the interface is down",
                                             "tap tap0: the interface is up"}));
    expect_traffic();
}

TEST_F(TapNet, AnInterfaceThatIsTakenAwayComesBack) {
    make("tap0", IFF_TAP | IFF_MULTI_QUEUE, Persist::yes);
    set_link("tap0", Link::up);
    start({.name = "tap0", .queues = 2});
    must(tap->set_offloads(net::Offload::checksum));
    must(tap->use_queues(2));
    ifreq ifr = named("tap0");
    // As `ip link delete`: the interface goes although it is in use.
    const kvm::Fd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
    struct {
        std::uint32_t length = 32, type_flags = 17 | 0x0005 << 16, sequence = 1, port = 0;
        std::uint32_t family = 0, index, flags = 0, change = 0;
    } request;
    ASSERT_EQ(::ioctl(socket(), SIOCGIFINDEX, &ifr), 0);
    request.index = static_cast<std::uint32_t>(ifr.ifr_ifindex);
    ASSERT_EQ(::send(netlink.number(), &request, sizeof request, 0), 32);
    settle();
    EXPECT_EQ(guest->links, std::vector{Link::down});
    EXPECT_EQ(guest->send(arp(1, 1, 2)), Outcome::dropped);
    EXPECT_EQ(guest->send(arp(1, 1, 2), {}, 1), Outcome::dropped);
    must(tap->set_offloads(net::Offload::checksum | net::Offload::tso4));
    must(tap->use_queues(1));
    make("tap0", IFF_TAP | IFF_MULTI_QUEUE, Persist::yes);
    set_link("tap0", Link::up);
    settle();
    ASSERT_FALSE(guest->links.empty());
    EXPECT_EQ(guest->links.back(), Link::up);
    ASSERT_FALSE(log.empty());
    EXPECT_EQ(log[0], "tap tap0: the interface is gone");
    EXPECT_EQ(log.back(), "tap tap0: the interface is up");
    expect_traffic();
}

TEST_F(TapNet, SeveralQueuesSendAndReceive) {
    make("tap0", IFF_TAP | IFF_MULTI_QUEUE, Persist::yes);
    set_link("tap0", Link::up);
    start({.name = "tap0", .queues = 4});
    EXPECT_EQ(tap->queues(), 4);
    must(tap->use_queues(4));
    for (std::uint16_t queue = 0; queue < 4; ++queue) {
        expect_traffic(queue);
    }
    must(tap->use_queues(1));
    expect_traffic();
    EXPECT_EQ(log, std::vector<std::string>{});
}

TEST_F(TapNet, DescriptorsThatOthersOpenedDo) {
    make("tap0", IFF_TAP, Persist::yes);
    set_link("tap0", Link::up);
    const kvm::Fd fd = open("tap0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
    start({.fds = {fd.number()}});
    EXPECT_EQ(tap->name(), "tap0");
    expect_traffic();
    set_link("tap0", Link::down);
    EXPECT_EQ(guest->send(arp(1, 1, 2)), Outcome::dropped);
    EXPECT_EQ(guest->links, std::vector{Link::down});
    set_link("tap0", Link::up);
    settle();
    expect_traffic();
}

TEST_F(TapNet, WhatCannotBeIsAnErrorThatNamesIt) {
    const auto refusal = [&](const net::TapOptions& options) {
        return message(net::Tap::create(options, {*reactor, [](const std::string&) {}}));
    };
    EXPECT_EQ(refusal({.name = "tap7"}),
              "tap tap7: there is no such interface: ip tuntap add tap7 mode tap");
    EXPECT_EQ(refusal({.name = "a-name-that-is-too-long"}),
              "tap: 'a-name-that-is-too-long' is no interface's name");
    EXPECT_EQ(refusal({.name = "lo"}), "tap lo: it is no tap interface");
    make("tap0", IFF_TAP, Persist::yes);
    EXPECT_EQ(refusal({.name = "tap0", .queues = 2}),
              "tap tap0: it has one queue, or is no tap interface: it must be made with "
              "multi_queue");
    start({.name = "tap0"});
    EXPECT_EQ(refusal({.name = "tap0"}), "tap tap0: Device or resource busy");
    EXPECT_EQ(refusal({.fds = {-1}}), "tap: descriptor -1: Bad file descriptor");
    const kvm::Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    EXPECT_EQ(refusal({.fds = {null.number()}}),
              fmt::format("tap: descriptor {} is no tap's: Inappropriate ioctl for device",
                          null.number()));
    const kvm::Fd plain = open("tap1", IFF_TAP);
    const int number = plain.number();
    EXPECT_EQ(refusal({.fds = {number}}),
              fmt::format("tap: descriptor {} of tap1 was not opened with IFF_TAP, IFF_NO_PI and "
                          "IFF_VNET_HDR",
                          number));
}

TEST_F(TapNet, AnInterfaceThatIsDownAtFirstIsUsedWhenItIsUp) {
    make("tap0", IFF_TAP | IFF_MULTI_QUEUE, Persist::yes);
    start({.name = "tap0"});  // made for many, used by one
    EXPECT_EQ(tap->link(), Link::down);
    EXPECT_EQ(log, std::vector<std::string>{"tap tap0: the interface is down"});
    set_link("tap0", Link::up);
    settle();
    EXPECT_EQ(tap->link(), Link::up);
    expect_traffic();
}

}  // namespace
}  // namespace vmm::test
