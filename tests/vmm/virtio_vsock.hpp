// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cerrno>
#include <deque>
#include <filesystem>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vmm/virtio/vsock.hpp>
#include <vmm/virtio_fixture.hpp>

namespace vmm::test {

/// A vsock device in a directory of its own, and the guest's and the host's ends of it.
class VirtioVsock : public VirtioDeviceTest {
protected:
    static constexpr std::uint16_t rx = 0, tx = 1, events = 2;
    static constexpr std::uint32_t cid = 7;
    static constexpr std::uint16_t op_request = 1, op_response = 2, op_reset = 3, op_shutdown = 4,
                                   op_data = 5, op_credit = 6, op_ask = 7;
    static constexpr std::uint32_t receive = 1, send = 2, both = 3;

    struct Header {
        std::uint64_t src_cid = cid, dst_cid = 2;
        std::uint32_t src_port = 0, dst_port = 0, length = 0;
        std::uint16_t type = 1, op = 0;
        std::uint32_t flags = 0, buf_alloc = 256 << 10, fwd_cnt = 0;
    };
    static constexpr std::size_t header_size = 44;
    struct Packet {
        Header header;
        std::string data;
    };
    struct Short {
        int op = 0;
        std::uint32_t from = 0, to = 0, flags = 0;
        friend bool operator==(const Short&, const Short&) = default;
    };

    void SetUp() override {
        device = must(virtio::Vsock::create({cid, path()}));
        begin();
    }
    void TearDown() override {
        VirtioDeviceTest::TearDown();
        device.reset();
        std::filesystem::remove_all(directory);
    }
    void begin() {
        given.clear();
        start(*device);
        give(64);
    }
    std::string path(const std::string& name = "vsock") { return (directory / name).string(); }

    // The guest.
    void give(int count, std::size_t size = 4096 + header_size) {
        for (int i = 0; i < count; ++i) {
            const virtio::Buffer buffer = room(size);
            ASSERT_TRUE(queue(rx).offer({}, {buffer}));
            given.push_back(buffer);
        }
        notify(rx);
    }
    /// The next packet for the guest, whose buffer goes back to the device.
    std::optional<Packet> hear() {
        const auto used = queue(rx).take();
        if (!used) {
            return std::nullopt;
        }
        const virtio::Buffer buffer = given.front();
        given.pop_front();
        const auto bytes = get(buffer);
        Packet packet;
        std::copy_n(bytes.begin(), header_size,
                    std::as_writable_bytes(std::span(&packet.header, 1)).begin());
        packet.data.assign(reinterpret_cast<const char*>(bytes.data()) + header_size,
                           used->length - header_size);
        EXPECT_EQ(packet.header.length, packet.data.size());
        EXPECT_EQ(packet.header.dst_cid, cid);
        if (returns) {
            EXPECT_TRUE(queue(rx).offer({}, {buffer}));
            given.push_back(buffer);
            transport().notify(rx);
        }
        return packet;
    }
    Short hear_short() {
        settle();
        const auto packet = hear();
        if (!packet) {
            return {};
        }
        const Header& h = packet->header;
        return {h.op, h.src_port, h.dst_port, h.flags};
    }
    std::optional<Packet> wait_packet() {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (!queue(rx).has_used() && std::chrono::steady_clock::now() < end) {
            reactor->turn(std::chrono::milliseconds(10));
        }
        return hear();
    }
    bool say(Header header, std::string_view data = "") {
        header.length = static_cast<std::uint32_t>(data.size());
        std::vector<std::byte> packet(header_size);
        std::memcpy(packet.data(), &header, header_size);
        const auto more = bytes(data);
        packet.insert(packet.end(), more.begin(), more.end());
        return request(tx, packet, 0).has_value();
    }
    bool say(std::uint16_t op, std::uint32_t from, std::uint32_t to, std::string_view data = "",
             std::uint32_t flags = 0) {
        return say({.src_port = from, .dst_port = to, .op = op, .flags = flags}, data);
    }

    // The host.
    kvm::Fd listen_for(std::uint32_t port) {
        listeners.push_back(must(ListeningSocket::create(path(fmt::format("vsock_{}", port)))));
        return must_fd(listeners.back().fd().number());
    }
    static kvm::Fd must_fd(int fd) { return kvm::Fd(::dup(fd)); }
    static kvm::Fd accept(const kvm::Fd& listener) {
        return kvm::Fd(
            ::accept4(listener.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    }
    kvm::Fd dial() {
        kvm::Fd fd = make_socket();
        EXPECT_EQ(connect_socket(fd, path()), 0);
        return fd;
    }
    static std::string take(const kvm::Fd& fd) {
        std::array<char, 65536> text;
        const ssize_t n = ::recv(fd.number(), text.data(), text.size(), 0);
        if (n <= 0) {
            return n < 0 && errno == EAGAIN ? "(nothing)" : "(end)";
        }
        return std::string(text.data(), static_cast<std::size_t>(n));
    }
    static bool put_in(const kvm::Fd& fd, std::string_view text) {
        return ::send(fd.number(), text.data(), text.size(), MSG_NOSIGNAL) == ssize_t(text.size());
    }
    /// A connection of the guest's port to the host's, agreed upon.
    kvm::Fd connect(std::uint32_t guest, std::uint32_t host) {
        const kvm::Fd listener = listen_for(host);
        EXPECT_TRUE(say(op_request, guest, host));
        EXPECT_EQ(hear_short(), (Short{op_response, host, guest, 0}));
        return accept(listener);
    }

    std::filesystem::path directory = [] {
        std::string name = (std::filesystem::temp_directory_path() / "kvmxx-vsock-XXXXXX").string();
        return std::filesystem::path(::mkdtemp(name.data()));
    }();
    std::unique_ptr<virtio::Vsock> device;
    std::deque<virtio::Buffer> given;
    std::vector<ListeningSocket> listeners;
    bool returns = true;  // buffers, once they were heard
};

}  // namespace vmm::test
