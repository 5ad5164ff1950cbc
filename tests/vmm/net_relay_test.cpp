// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <vmm/net/relay.hpp>
#include <vmm/result.hpp>

namespace vmm::test {
namespace {

using namespace std::chrono_literals;
using net::Relay;

class NetRelay : public ::testing::Test {
protected:
    NetRelay() {
        std::string name = ::testing::TempDir() + "kvmxx-relay-XXXXXX";
        directory = ::mkdtemp(name.data());
    }
    ~NetRelay() override { std::filesystem::remove_all(directory); }

    net::Wires wires() {
        return {*reactor, [this](const std::string& line) { log.push_back(line); }};
    }
    void start(const std::string& target) { relay = must(Relay::create("web", target, wires())); }
    ListeningSocket serve() const { return must(ListeningSocket::create(directory + "/server")); }
    kvm::Fd connect() const {
        kvm::Fd fd = make_socket();
        EXPECT_EQ(connect_socket(fd, relay->path()), 0);
        return fd;
    }
    template <class Condition>
    bool until(Condition condition) {
        const auto end = std::chrono::steady_clock::now() + 20s;
        while (!condition() && std::chrono::steady_clock::now() < end) {
            reactor->turn(10ms);
        }
        return condition();
    }
    bool readable(const kvm::Fd& fd) {
        pollfd wanted{fd.number(), POLLIN, 0};
        return until([&] { return ::poll(&wanted, 1, 0) == 1; });
    }
    kvm::Fd accept(const ListeningSocket& server) {
        EXPECT_TRUE(readable(server.fd()));
        return server.accept();
    }
    /// All that comes until the stream's end.
    std::string read_all(const kvm::Fd& fd) {
        std::string all;
        std::array<char, 65536> part;
        while (readable(fd)) {
            const ssize_t n = ::recv(fd.number(), part.data(), part.size(), 0);
            if (n <= 0) {
                return n == 0 ? all : all + " and an error";
            }
            all.append(part.data(), static_cast<std::size_t>(n));
        }
        return all + " and no end";
    }
    static ssize_t write(const kvm::Fd& fd, std::string_view text) {
        return ::send(fd.number(), text.data(), text.size(), MSG_NOSIGNAL);
    }

    std::string directory;
    std::unique_ptr<Reactor> reactor = must(Reactor::create());
    std::vector<std::string> log;
    std::unique_ptr<Relay> relay;
};

TEST_F(NetRelay, PassesOnBothStreamsAndTheirEnds) {
    const auto server = serve();
    start(server.path());
    const kvm::Fd near = connect();
    const kvm::Fd far = accept(server);
    EXPECT_EQ(write(near, "GET"), 3);
    EXPECT_EQ(::shutdown(near.number(), SHUT_WR), 0);
    EXPECT_EQ(read_all(far), "GET");
    EXPECT_EQ(relay->connections(), 1u) << "one half is open";
    EXPECT_EQ(write(far, "page"), 4);
    EXPECT_EQ(::shutdown(far.number(), SHUT_WR), 0);
    EXPECT_EQ(read_all(near), "page");
    EXPECT_TRUE(until([&] { return relay->connections() == 0; }));
    EXPECT_TRUE(log.empty());
}

TEST_F(NetRelay, ReachesATcpPort) {
    const kvm::Fd server(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    ASSERT_EQ(::bind(server.number(), raw, size), 0);
    ASSERT_EQ(::listen(server.number(), 8), 0);
    ASSERT_EQ(::getsockname(server.number(), raw, &size), 0);
    start(fmt::format("127.0.0.1:{}", ntohs(address.sin_port)));
    const kvm::Fd near = connect();
    ASSERT_TRUE(readable(server));
    kvm::Fd far(::accept4(server.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    EXPECT_EQ(write(near, "over TCP"), 8);
    EXPECT_EQ(::shutdown(near.number(), SHUT_WR), 0);
    EXPECT_EQ(read_all(far), "over TCP");
    far = kvm::Fd(-1);
    EXPECT_EQ(read_all(near), "");
    EXPECT_TRUE(until([&] { return relay->connections() == 0; }));
}

TEST_F(NetRelay, KeepsLittleForAPeerThatIsSlowAndLosesNothing) {
    const auto server = serve();
    start(server.path());
    const kvm::Fd near = connect();
    const kvm::Fd far = accept(server);
    std::string sent;
    const auto fill = [&] {  // until nobody takes more
        for (int idle = 0; idle < 3; ++idle) {
            const std::string part(10007, static_cast<char>('a' + sent.size() % 26));
            for (ssize_t n = write(near, part); n > 0; n = write(near, part)) {
                sent.append(part, 0, static_cast<std::size_t>(n));
                idle = 0;
            }
            reactor->turn(5ms);
        }
    };
    fill();
    EXPECT_GT(sent.size(), Relay::buffer_bytes);
    EXPECT_LT(sent.size(), 16u << 20) << "the sockets' own buffers, and one more";
    EXPECT_EQ(reactor->turn(0ms), 0) << "it does not turn in vain";
    EXPECT_EQ(::shutdown(near.number(), SHUT_WR), 0);
    EXPECT_TRUE(read_all(far) == sent);
}

TEST_F(NetRelay, EndsWhatCannotBeReachedAndSaysSoOnce) {
    start(directory + "/nobody");
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(read_all(connect()), "");
    }
    EXPECT_EQ(log,
              std::vector<std::string>{"web: " + directory + "/nobody: No such file or directory"});
    relay.reset();
    log.clear();
    start("127.0.0.1:1");  // where nobody listens
    EXPECT_EQ(read_all(connect()), "");
    ASSERT_EQ(log.size(), 1u);
    EXPECT_EQ(log[0], "web: 127.0.0.1:1: Connection refused");
}

TEST_F(NetRelay, DoesNotWaitForAServerThatAcceptsNobody) {
    const auto server = serve();
    ASSERT_EQ(::listen(server.fd().number(), 1), 0);
    start(server.path());
    std::vector<kvm::Fd> all;
    for (int i = 0; i < 60; ++i) {
        all.push_back(connect());
    }
    EXPECT_EQ(read_all(all.back()), "") << "there is no place for it";
    EXPECT_GE(relay->connections(), 1u);
    EXPECT_LE(relay->connections(), 3u);
    EXPECT_EQ(log.size(), 1u);
}

TEST_F(NetRelay, HasSoManyConnectionsAndNoMore) {
    const auto server = serve();
    start(server.path());
    std::vector<kvm::Fd> all;
    for (std::size_t i = 0; i < Relay::most_connections + 5; ++i) {
        all.push_back(connect());
        relay->accept();
        all.push_back(server.accept());
    }
    EXPECT_EQ(relay->connections(), Relay::most_connections);
    EXPECT_EQ(log, std::vector<std::string>{"web: more than 256 connections"});
    all.clear();
    EXPECT_TRUE(until([&] { return relay->connections() == 0; }));
    const kvm::Fd near = connect();
    EXPECT_TRUE(accept(server).valid());
}

TEST_F(NetRelay, HasNoNameInTheFileSystem) {
    const char* const before = std::getenv("TMPDIR");
    const std::string kept = before ? before : "";
    ::setenv("TMPDIR", directory.c_str(), 1);
    start("x");
    EXPECT_TRUE(std::filesystem::is_empty(directory));
    const kvm::Fd near = connect();
    ::setenv("TMPDIR", (directory + "/nowhere").c_str(), 1);
    EXPECT_EQ(code(Relay::create("web", "x", wires())), ENOENT);
    before ? ::setenv("TMPDIR", kept.c_str(), 1) : ::unsetenv("TMPDIR");
}

TEST_F(NetRelay, GoesOnWhenThereAreDescriptorsAgain) {
    const auto server = serve();
    start(server.path());
    {  // a sanitizer's first look at an object takes descriptors of its own
        const kvm::Fd first = connect();
        EXPECT_TRUE(accept(server).valid());
    }
    ASSERT_TRUE(until([&] { return relay->connections() == 0; }));
    const kvm::Fd near = connect();
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    const rlimit none{3, limit.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 5; ++i) {
        reactor->turn(10ms);
    }
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    EXPECT_EQ(relay->connections(), 0u);
    EXPECT_TRUE(accept(server).valid());
}

}  // namespace
}  // namespace vmm::test
