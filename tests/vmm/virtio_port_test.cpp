// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <vmm/device/unix_socket.hpp>
#include <vmm/virtio_console.hpp>

namespace vmm::test {
namespace {

using namespace virtio;
using namespace std::chrono_literals;

class VirtioConsolePeers : public VirtioConsole {
protected:
    std::filesystem::path directory = [] {
        std::string name =
            (std::filesystem::temp_directory_path() / "kvmxx-console-XXXXXX").string();
        return std::filesystem::path(::mkdtemp(name.data()));
    }();
    void TearDown() override {
        VirtioConsole::TearDown();
        device.reset();
        std::filesystem::remove_all(directory);
    }
    void begin(std::unique_ptr<PortPeer> peer) {
        stop();
        std::vector<ConsolePort> ports;
        ports.push_back({"", std::move(peer)});
        device = std::make_unique<Console>(std::move(ports));
        start(*device);
    }
    /// Turns until it is so.
    template <class Condition>
    bool until(Condition condition) {
        const auto end = std::chrono::steady_clock::now() + 10s;
        while (!condition() && std::chrono::steady_clock::now() < end) {
            reactor->turn(10ms);
        }
        return condition();
    }
    std::string path(const char* name) { return (directory / name).string(); }
    static std::string take(const kvm::Fd& fd) {
        std::string text(1 << 18, 0);
        const ssize_t n = ::read(fd.number(), text.data(), text.size());
        text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
        return text;
    }
    std::unique_ptr<Console> device;
};

TEST_F(VirtioConsolePeers, AFileIsAppendedTo) {
    std::ofstream(path("log")) << "before\n";
    begin(must(open_file_port(path("log"))));
    EXPECT_TRUE(send(tx, "after\n"));
    std::ifstream log(path("log"));
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(log), {}), "before\nafter\n");
    EXPECT_EQ(code(open_file_port(path("none/log"))), ENOENT);
    EXPECT_EQ(code(open_file_port(directory.string())), EISDIR);
}

TEST_F(VirtioConsolePeers, AFileThatIsFullLosesWhatIsWrittenAndTheLogHearsItOnce) {
    std::vector<std::string> heard;
    const Log log(LogLevel::warn, [&](const LogLine& line) { heard.emplace_back(line.text); });
    begin(must(open_file_port("/dev/full", log)));
    EXPECT_TRUE(heard.empty());
    EXPECT_TRUE(send(tx, "lost")) << "the guest goes on";
    EXPECT_TRUE(send(tx, "lost"));
    EXPECT_EQ(heard, (std::vector<std::string>{"/dev/full: No space left on device: what the guest "
                                               "writes there is lost"}));
}

TEST_F(VirtioConsolePeers, AFifoThatIsFullHasTheGuestWait) {
    ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
    std::vector<std::string> heard;
    const Log log(LogLevel::warn, [&](const LogLine& line) { heard.emplace_back(line.text); });
    kvm::Fd reader(::open(path("fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    ASSERT_TRUE(reader.valid());
    begin(must(open_file_port(path("fifo"), log)));
    const std::string block(1000, 'x');
    std::size_t sent = 0;
    do {
        ASSERT_TRUE(queue(tx).offer(std::array{put(block)}, {}));
        notify(tx);
        sent += block.size();
        ASSERT_LT(sent, 1u << 20) << "it has no end";
    } while (queue(tx).take());
    std::size_t got = 0;
    bool used = false;
    EXPECT_TRUE(until([&] {
        got += take(reader).size();
        used = used || queue(tx).take();
        return got == sent && used;
    })) << got
        << " of " << sent;
    EXPECT_EQ(heard, std::vector<std::string>());
    (void)std::signal(SIGPIPE, SIG_IGN);
    reader = kvm::Fd(-1);
    EXPECT_TRUE(send(tx, "to nobody"));
    EXPECT_EQ(heard.size(), 1u);
}

TEST_F(VirtioConsolePeers, ASocketHasOnePeerAtATime) {
    begin(must(open_socket_port(path("port"))));
    EXPECT_TRUE(send(tx, "to nobody"));
    kvm::Fd first = make_socket();
    ASSERT_EQ(connect_socket(first, path("port")), 0);
    kvm::Fd second = make_socket();
    ASSERT_EQ(connect_socket(second, path("port")), 0);
    settle();
    EXPECT_TRUE(send(tx, "hello"));
    EXPECT_EQ(take(first), "hello");
    EXPECT_EQ(take(second), "") << "it waits";
    give(rx, 64, 4);
    ASSERT_EQ(::write(first.number(), "hi", 2), 2);
    settle();
    EXPECT_EQ(hear(rx), "hi");
    first = kvm::Fd(-1);
    ASSERT_TRUE(until([&] { return send(tx, "x") && take(second) != ""; })) << "its turn";
    ASSERT_EQ(::write(second.number(), "ho", 2), 2);
    settle();
    EXPECT_EQ(hear(rx), "ho");
}

TEST_F(VirtioConsolePeers, ASocketThatIsNotReadHasTheGuestWait) {
    begin(must(open_socket_port(path("port"))));
    kvm::Fd peer = make_socket();
    ASSERT_EQ(connect_socket(peer, path("port")), 0);
    settle();
    const std::string text(256 << 10, 'z');
    std::size_t sent = 0;
    const Buffer buffer = put(text);
    while (sent < 8 * text.size()) {
        ASSERT_TRUE(queue(tx).offer({buffer}, {}));
        notify(tx);
        sent += text.size();
        if (!queue(tx).take()) {
            break;
        }
    }
    ASSERT_LT(sent, 8 * text.size()) << "the host takes no end of it";
    std::size_t got = 0;
    ASSERT_TRUE(until([&] { return (got += take(peer).size()) == sent; }));
    EXPECT_TRUE(queue(tx).take());
    ASSERT_TRUE(queue(tx).offer({buffer}, {}));
    peer = kvm::Fd(-1);
    notify(tx);
    EXPECT_TRUE(wait_used(tx)) << "who is gone holds up nobody";
}

TEST_F(VirtioConsolePeers, APeerThatGoesWhileNothingIsReadCostsNothing) {
    begin(must(open_socket_port(path("port"))));
    kvm::Fd peer = make_socket();
    ASSERT_EQ(connect_socket(peer, path("port")), 0);
    settle();
    give(rx, 64);
    ASSERT_EQ(::write(peer.number(), "12", 2), 2);
    settle();
    EXPECT_EQ(hear(rx), "12");
    ASSERT_EQ(::write(peer.number(), "34", 2), 2);
    peer = kvm::Fd(-1);
    int turns = 0;
    while (turns < 100 && reactor->turn(1ms) > 0) {
        ++turns;
    }
    EXPECT_LT(turns, 100) << "it is ready for ever, and nobody asks";
    give(rx, 64);
    EXPECT_EQ(hear(rx), "34") << "its last words";
}

TEST_F(VirtioConsolePeers, ASocketsPathMustBeFreeAndGoesWithIt) {
    {
        const auto one = must(open_socket_port(path("port")));
        EXPECT_EQ(code(open_socket_port(path("port"))), EADDRINUSE);
    }
    EXPECT_FALSE(std::filesystem::exists(path("port")));
    {
        const kvm::Fd stale = make_socket();
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path("stale").c_str(), sizeof address.sun_path - 1);
        ASSERT_EQ(::bind(stale.number(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    EXPECT_TRUE(open_socket_port(path("stale"))) << "a program died and left it";
    std::ofstream(path("file")) << "precious";
    EXPECT_EQ(code(open_socket_port(path("file"))), EADDRINUSE);
    EXPECT_TRUE(std::filesystem::exists(path("file")));
    EXPECT_EQ(code(open_socket_port(std::string(200, 'x'))), ENAMETOOLONG);
    EXPECT_EQ(code(open_socket_port("")), EINVAL);
}

TEST_F(VirtioConsolePeers, APtyIsThereWhileItIsOpen) {
    std::string name;
    begin(must(open_pty_port(name)));
    EXPECT_TRUE(send(tx, "to nobody"));
    kvm::Fd terminal(::open(name.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    ASSERT_TRUE(terminal.valid()) << name;
    ASSERT_TRUE(until([&] { return send(tx, "x") && take(terminal) != ""; }));
    EXPECT_TRUE(send(tx, "a\nb"));
    EXPECT_EQ(take(terminal), "a\nb") << "raw";
    give(rx, 64, 2);
    ASSERT_EQ(::write(terminal.number(), "key\3", 4), 4);
    ASSERT_TRUE(until([&] { return queue(rx).has_used(); }));
    EXPECT_EQ(hear(rx), "key\3");
    terminal = kvm::Fd(-1);
    settle();
    int turns = 0;
    while (turns < 100 && reactor->turn(1ms) > 0) {
        ++turns;
    }
    EXPECT_LT(turns, 100) << "a closed terminal keeps nobody busy";
    EXPECT_TRUE(send(tx, "to nobody again"));
}

}  // namespace
}  // namespace vmm::test
