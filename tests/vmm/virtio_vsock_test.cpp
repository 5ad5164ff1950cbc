// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <fstream>
#include <vmm/virtio_vsock.hpp>

namespace vmm::test {
namespace {

using namespace std::chrono_literals;
using virtio::Buffer;
using virtio::Vsock;
using virtio::VsockOptions;

TEST_F(VirtioVsock, TheGuestConnectsToTheHost) {
    EXPECT_EQ(read_config<std::uint64_t>(0), cid);
    const kvm::Fd peer = connect(1000, 80);
    ASSERT_TRUE(peer.valid());
    EXPECT_TRUE(say(op_data, 1000, 80, "hello"));
    EXPECT_EQ(take(peer), "hello");
    ASSERT_TRUE(put_in(peer, "and back"));
    const auto packet = wait_packet();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->data, "and back");
    EXPECT_EQ(packet->header.op, op_data);
    EXPECT_EQ(packet->header.src_cid, 2u);
    EXPECT_EQ(packet->header.fwd_cnt, 5u);
    EXPECT_EQ(packet->header.buf_alloc, Vsock::buffer_size);
    EXPECT_EQ(device->report().open, 1u);
    EXPECT_EQ(device->report().opened, 1u);
}

TEST_F(VirtioVsock, WhereNobodyListensTheGuestIsRefused) {
    EXPECT_TRUE(say(op_request, 1000, 81));
    EXPECT_EQ(hear_short(), (Short{op_reset, 81, 1000, 0}));
    EXPECT_EQ(device->report().refused, 1u);
    EXPECT_EQ(device->report().open, 0u);
}

TEST_F(VirtioVsock, TheHostConnectsToTheGuest) {
    const kvm::Fd peer = dial();
    settle();
    ASSERT_TRUE(put_in(peer, "CONN"));
    settle();
    ASSERT_TRUE(put_in(peer, "ECT 22\nfirst"));
    const auto request = wait_packet();
    ASSERT_TRUE(request);
    EXPECT_EQ(request->header.op, op_request);
    EXPECT_EQ(request->header.dst_port, 22u);
    const std::uint32_t port = request->header.src_port;
    EXPECT_EQ(take(peer), "(nothing)") << "the guest has not answered";
    EXPECT_TRUE(say(op_response, 22, port));
    EXPECT_EQ(take(peer), fmt::format("OK {}\n", port));
    const auto data = wait_packet();
    ASSERT_TRUE(data);
    EXPECT_EQ(data->data, "first");
    EXPECT_TRUE(say(op_data, 22, port, "reply"));
    EXPECT_EQ(take(peer), "reply");
}

TEST_F(VirtioVsock, TheGuestMayRefuse) {
    const kvm::Fd peer = dial();
    ASSERT_TRUE(put_in(peer, "CONNECT 22\n"));
    const auto request = wait_packet();
    ASSERT_TRUE(request);
    EXPECT_TRUE(say(op_reset, 22, request->header.src_port));
    EXPECT_EQ(take(peer), "(end)");
    EXPECT_EQ(device->report().open, 0u);
}

TEST_F(VirtioVsock, WhoDoesNotSayWhitherIsSentAway) {
    for (const char* line :
         {"connect 22\n", "CONNECT\n", "CONNECT x\n", "CONNECT 22 \n", "CONNECT -1\n",
          "CONNECT 4294967296\n", "\n", "CONNECT 222222222222222222222"}) {
        const kvm::Fd peer = dial();
        settle();
        ASSERT_TRUE(put_in(peer, line));
        settle();
        EXPECT_NE(take(peer), "(nothing)") << line;
    }
    {
        const kvm::Fd gone = dial();
    }
    settle();
    EXPECT_FALSE(hear());
    EXPECT_EQ(device->report().open, 0u);
}

TEST_F(VirtioVsock, AnEndOfOneDirectionLeavesTheOther) {
    const kvm::Fd peer = connect(1000, 80);
    EXPECT_TRUE(say(op_data, 1000, 80, "last"));
    EXPECT_TRUE(say(op_shutdown, 1000, 80, "", send));
    EXPECT_EQ(take(peer), "last");
    EXPECT_EQ(take(peer), "(end)");
    ASSERT_TRUE(put_in(peer, "still"));
    const auto packet = wait_packet();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->data, "still");
    ASSERT_EQ(::shutdown(peer.number(), SHUT_WR), 0);
    const auto end = wait_packet();
    ASSERT_TRUE(end);
    EXPECT_EQ(end->header.op, op_shutdown);
    EXPECT_TRUE(end->header.flags & send);
    EXPECT_TRUE(say(op_shutdown, 1000, 80, "", both));
    EXPECT_EQ(hear_short(), (Short{op_reset, 80, 1000, 0})) << "both have agreed";
    EXPECT_EQ(device->report().open, 0u);
    EXPECT_EQ(device->report().broken, 0u);
}

TEST_F(VirtioVsock, TheHostsEndOfOneDirectionLeavesTheOther) {
    const kvm::Fd peer = connect(1000, 80);
    ASSERT_EQ(::shutdown(peer.number(), SHUT_WR), 0);
    settle();
    EXPECT_EQ(hear_short(), (Short{op_shutdown, 80, 1000, send}));
    EXPECT_TRUE(say(op_data, 1000, 80, "I go on"));
    EXPECT_EQ(take(peer), "I go on");
}

TEST_F(VirtioVsock, APeerThatVanishesIsTold) {
    {
        const kvm::Fd peer = connect(1000, 80);
        ASSERT_TRUE(put_in(peer, "last words"));
    }
    std::string heard;
    std::uint32_t shut = 0;
    while (shut != both) {
        const auto packet = wait_packet();
        ASSERT_TRUE(packet);
        heard += packet->data;
        shut |= packet->header.op == op_shutdown ? packet->header.flags : 0;
    }
    EXPECT_EQ(heard, "last words");
    EXPECT_TRUE(say(op_data, 1000, 80, "too late")) << "it may have been under way";
    EXPECT_TRUE(say(op_reset, 1000, 80));
    EXPECT_EQ(device->report().open, 0u);
    EXPECT_FALSE(broken());
    EXPECT_EQ(device->report().broken, 0u);
}

TEST_F(VirtioVsock, AResetEndsItAtOnce) {
    const kvm::Fd peer = connect(1000, 80);
    EXPECT_TRUE(say(op_reset, 1000, 80));
    EXPECT_EQ(take(peer), "(end)");
    EXPECT_EQ(device->report().broken, 1u);
    EXPECT_TRUE(say(op_data, 1000, 80, "what?"));
    EXPECT_EQ(hear_short(), (Short{op_reset, 80, 1000, 0})) << "there is no such connection";
    EXPECT_TRUE(say(op_reset, 1000, 80));
    EXPECT_FALSE(hear()) << "a reset is not answered";
}

TEST_F(VirtioVsock, TheGuestSendsNoMoreThanItMay) {
    const kvm::Fd peer = connect(1000, 80);
    const std::string text(32 << 10, 'a');
    std::size_t sent = 0;
    // The host's socket takes some of it; then the device's buffer fills.
    std::uint32_t forwarded = 0;
    for (;;) {
        EXPECT_TRUE(say({.src_port = 1000, .dst_port = 80, .op = op_ask}));
        settle();
        while (const auto packet = hear()) {
            forwarded = packet->header.fwd_cnt;
        }
        if (sent - forwarded + text.size() > Vsock::buffer_size) {
            break;
        }
        ASSERT_TRUE(say(op_data, 1000, 80, text));
        sent += text.size();
        ASSERT_LT(sent, 16u << 20);
    }
    std::size_t got = 0;
    while (got < sent) {
        const std::string part = take(peer);
        ASSERT_NE(part, "(end)");
        got += part == "(nothing)" ? 0 : part.size();
        settle();
    }
    EXPECT_EQ(got, sent);
    bool told = false;
    while (const auto packet = hear()) {
        told = told || (packet->header.op == op_credit && packet->header.fwd_cnt > forwarded);
    }
    EXPECT_TRUE(told) << "that there is room again";
    // More than it may, and the connection is gone.
    for (int i = 0; i < 400 && device->report().broken == 0; ++i) {
        ASSERT_TRUE(say(op_data, 1000, 80, text));
    }
    EXPECT_EQ(device->report().broken, 1u);
    EXPECT_FALSE(broken()) << "the device is well";
}

TEST_F(VirtioVsock, TheHostSendsNoMoreThanTheGuestHasRoomFor) {
    const kvm::Fd peer = connect(1000, 80);
    EXPECT_TRUE(say({.src_port = 1000, .dst_port = 80, .op = op_credit, .buf_alloc = 100}));
    ASSERT_TRUE(put_in(peer, std::string(250, 'b')));
    settle();
    auto packet = hear();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->data.size(), 100u);
    EXPECT_EQ(hear_short(), (Short{op_ask, 80, 1000, 0})) << "it asks for more";
    EXPECT_FALSE(hear());
    EXPECT_TRUE(
        say({.src_port = 1000, .dst_port = 80, .op = op_credit, .buf_alloc = 100, .fwd_cnt = 60}));
    packet = wait_packet();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->data.size(), 60u);
    // Words that cannot be are no credit.
    EXPECT_TRUE(say({.src_port = 1000,
                     .dst_port = 80,
                     .op = op_credit,
                     .buf_alloc = 0xffffff00,
                     .fwd_cnt = 0x7fffffff}));
    EXPECT_TRUE(say({.src_port = 1000,
                     .dst_port = 80,
                     .op = op_credit,
                     .buf_alloc = 0,
                     .fwd_cnt = 0xffffffff}));
    settle();
    while (hear()) {
    }
    EXPECT_FALSE(broken());
}

TEST_F(VirtioVsock, MuchGoesBothWaysAtOnce) {
    const kvm::Fd peer = connect(1000, 80);
    constexpr std::size_t total = 4 << 20;
    std::size_t from_host = 0, at_host = 0, at_guest = 0, from_guest = 0;
    std::uint32_t room_told = 0;  // what the host has taken
    const auto pattern = [](std::size_t at) { return char('a' + at / 7 % 26); };
    const auto text = [&](std::size_t at, std::size_t n) {
        std::string s(n, ' ');
        for (std::size_t i = 0; i < n; ++i) {
            s[i] = pattern(at + i);
        }
        return s;
    };
    const auto end = std::chrono::steady_clock::now() + 50s;
    while ((at_host < total || at_guest < total) && std::chrono::steady_clock::now() < end) {
        if (from_host < total) {
            const std::string part =
                text(from_host, std::min<std::size_t>(16 << 10, total - from_host));
            const ssize_t n = ::send(peer.number(), part.data(), part.size(), MSG_NOSIGNAL);
            from_host += n > 0 ? std::size_t(n) : 0;
        }
        if (const std::string part = take(peer); part != "(nothing)") {
            ASSERT_EQ(part, text(at_host, part.size()));
            at_host += part.size();
        }
        settle();
        while (const auto packet = hear()) {
            ASSERT_EQ(packet->data, text(at_guest, packet->data.size()));
            at_guest += packet->data.size();
            room_told = packet->header.fwd_cnt;
        }
        if (from_guest < total &&
            std::uint32_t(from_guest) - room_told + 4096 <= Vsock::buffer_size) {
            ASSERT_TRUE(say({.src_port = 1000,
                             .dst_port = 80,
                             .op = op_data,
                             .fwd_cnt = std::uint32_t(at_guest)},
                            text(from_guest, 4096)));
            from_guest += 4096;
        } else {
            ASSERT_TRUE(say({.src_port = 1000,
                             .dst_port = 80,
                             .op = op_credit,
                             .fwd_cnt = std::uint32_t(at_guest)}));
        }
    }
    EXPECT_EQ(at_host, total);
    EXPECT_EQ(at_guest, total);
}

TEST_F(VirtioVsock, GoesOnElsewhereWithoutItsConnections) {
    const kvm::Fd peer = connect(1000, 80);
    const auto state = must(transport().save());
    const auto other = must(Vsock::create({cid, path("other")}));
    const Buffer note = room(4);
    ASSERT_TRUE(queue(events).offer({}, {note}));
    resume(*other, state);
    ASSERT_TRUE(queue(events).take()) << "the guest is to forget its connections";
    EXPECT_EQ(get(note), std::vector<std::byte>(4));
    EXPECT_EQ(take(peer), "(end)");
    EXPECT_TRUE(say(op_data, 1000, 80, "still there?"));
    EXPECT_EQ(hear_short(), (Short{op_reset, 80, 1000, 0}));
    EXPECT_EQ(code(other->restore(bytes("xx"))), EINVAL);
    stop();
}

TEST_F(VirtioVsock, AResetOfTheDeviceEndsAllConnections) {
    const kvm::Fd peer = connect(1000, 80);
    const kvm::Fd waiting = dial();
    settle();
    transport().set_status(0);
    EXPECT_EQ(take(peer), "(end)");
    EXPECT_EQ(take(waiting), "(end)");
    const kvm::Fd early = dial();
    ASSERT_TRUE(put_in(early, "CONNECT 5\n"));
    begin();
    EXPECT_EQ(wait_packet()->header.dst_port, 5u) << "who came before the guest was ready waits";
}

TEST(VsockOptionsCheck, SaysWhatIsWrongBeforeAnythingIsMade) {
    const auto refusal = [](std::uint32_t guest, std::string path) {
        return message(virtio::check(VsockOptions{guest, std::move(path)}));
    };
    EXPECT_EQ(refusal(3, "/tmp/x"), "succeeded");
    EXPECT_EQ(refusal(2, "/tmp/x"), "cid: 2 is the host");
    EXPECT_EQ(refusal(0, "/tmp/x"), "cid: 0 is the hypervisor's");
    EXPECT_EQ(refusal(0xffffffff, "/tmp/x"), "cid: 4294967295 means any");
    EXPECT_EQ(refusal(3, ""), "path: is no path");
    EXPECT_EQ(refusal(3, std::string(96, 'x')), "succeeded");
    EXPECT_TRUE(refusal(3, std::string(97, 'x')).starts_with("path: xxx"));
    EXPECT_EQ(code(Vsock::create({3, "/no/such/directory/vsock"})), ENOENT);
}

TEST_F(VirtioVsock, ItsPathMustBeFree) {
    EXPECT_EQ(code(Vsock::create({cid, path()})), EADDRINUSE);
    std::ofstream(path("file")) << "precious";
    EXPECT_EQ(code(Vsock::create({cid, path("file")})), EADDRINUSE);
    EXPECT_TRUE(std::filesystem::exists(path("file")));
    stop();
    device.reset();
    EXPECT_FALSE(std::filesystem::exists(path()));
}

}  // namespace
}  // namespace vmm::test
