// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <sys/resource.h>
#include <vmm/virtio/vsock_parts.hpp>
#include <vmm/virtio_vsock.hpp>

namespace vmm::test {
namespace {

using namespace std::chrono_literals;
using virtio::Buffer;
using virtio::Vsock;

TEST_F(VirtioVsock, PacketsCutShortDisableIt) {
    const auto lie = [&](std::vector<Buffer> readable, std::vector<Buffer> writable) {
        begin();
        EXPECT_TRUE(queue(tx).offer(readable, writable));
        notify(tx);
        return broken();
    };
    const auto packet = [&](std::uint32_t length, std::string_view data) {
        Header header{.src_port = 1, .dst_port = 2, .length = length, .op = op_data};
        std::string text(reinterpret_cast<const char*>(&header), header_size);
        return put(text += data);
    };
    EXPECT_TRUE(lie({room(43)}, {}));
    EXPECT_TRUE(lie({{kvm::Gpa(0x1000), 0}}, {}));
    EXPECT_TRUE(lie({{hole, 44}}, {}));
    EXPECT_TRUE(lie({}, {room(44)})) << "the wrong direction";
    EXPECT_TRUE(lie({packet(5, "four")}, {}));
    EXPECT_TRUE(lie({packet(0xffffffff, "four")}, {}));
    EXPECT_TRUE(lie({packet(70'000, std::string(70'000, 'x'))}, {})) << "longer than there are";
    EXPECT_FALSE(lie({packet(2, "more than it says")}, {}));
    EXPECT_TRUE(complaint().starts_with("vsock: disabled")) << complaint();
}

TEST_F(VirtioVsock, BuffersThatAreNoneDisableIt) {
    const auto lie = [&](std::vector<Buffer> readable, std::vector<Buffer> writable) {
        given.clear();
        start(*device);
        EXPECT_TRUE(queue(rx).offer(readable, writable));
        notify(rx);
        EXPECT_FALSE(broken()) << "nothing was to be said";
        (void)say(op_data, 1, 2, "x");  // to be answered by a reset
        return broken();
    };
    EXPECT_TRUE(lie({}, {room(44)})) << "without room for data";
    EXPECT_TRUE(lie({}, {{hole, 4096}}));
    EXPECT_TRUE(lie({}, {{rom, 4096}}));
    EXPECT_TRUE(lie({put("the wrong direction, and long enough for a packet")}, {}));
    EXPECT_TRUE(lie({}, {{kvm::Gpa(0xfffffffffffff000), 0xffffffff}}));
}

TEST_F(VirtioVsock, DataForAHoleIsTheGuestsFault) {
    for (const bool to_guest : {false, true}) {
        begin();
        const kvm::Fd peer = connect(1000, to_guest ? 80 : 81);
        if (to_guest) {
            while (queue(rx).outstanding() > 0) {  // use up the good ones
                ASSERT_TRUE(put_in(peer, "x"));
                settle();
                ASSERT_TRUE(queue(rx).take());
            }
            ASSERT_TRUE(queue(rx).offer({}, {room(44), {hole + (std::uint64_t(0) - 2), 100}}));
            ASSERT_TRUE(put_in(peer, "12345678"));
            notify(rx);
        } else {
            Header header{.src_port = 1000, .dst_port = 81, .length = 100, .op = op_data};
            const std::string text(reinterpret_cast<const char*>(&header), header_size);
            ASSERT_TRUE(queue(tx).offer({put(text), {hole + (std::uint64_t(0) - 2), 100}}, {}));
            notify(tx);
        }
        EXPECT_TRUE(broken()) << to_guest;
    }
}

TEST_F(VirtioVsock, PacketsOfOthersAreDropped) {
    EXPECT_TRUE(say({.src_cid = 99, .src_port = 1, .dst_port = 2, .op = op_request}));
    EXPECT_EQ(hear_short(), Short{});
    EXPECT_TRUE(say({.dst_cid = 99, .src_port = 1, .dst_port = 2, .op = op_request}));
    EXPECT_EQ(hear_short().op, op_reset) << "there is nobody else";
    EXPECT_TRUE(say({.src_port = 1, .dst_port = 2, .type = 2, .op = op_request}));
    EXPECT_EQ(hear_short().op, op_reset) << "no such type";
    EXPECT_FALSE(broken());
}

TEST_F(VirtioVsock, WhatMakesNoSenseEndsAConnectionAlone) {
    const auto ends = [&](std::uint32_t port, std::uint16_t op) {
        const kvm::Fd peer = connect(1000, port);
        EXPECT_TRUE(say(op, 1000, port));
        const bool ended =
            hear_short() == (Short{op_reset, port, 1000, 0}) && take(peer) == "(end)";
        return ended && device->report().open == 0 && !broken();
    };
    EXPECT_TRUE(ends(80, op_response));
    EXPECT_TRUE(ends(81, op_request));
    EXPECT_TRUE(ends(82, 0));
    EXPECT_TRUE(ends(83, 0xffff));
    const kvm::Fd peer = connect(1000, 84);
    EXPECT_TRUE(say(op_shutdown, 1000, 84, "", send));
    EXPECT_TRUE(say(op_data, 1000, 84, "after the end"));
    EXPECT_EQ(hear_short(), (Short{op_reset, 84, 1000, 0}));
    const kvm::Fd asking = dial();
    ASSERT_TRUE(put_in(asking, "CONNECT 9\n"));
    const auto request = wait_packet();
    ASSERT_TRUE(request);
    EXPECT_TRUE(say(op_data, 9, request->header.src_port, "before the answer"));
    EXPECT_EQ(hear_short().op, op_reset);
    EXPECT_EQ(take(asking), "(end)");
}

TEST_F(VirtioVsock, AFloodWithoutBuffersForTheAnswersWaits) {
    returns = false;
    begin();
    given.clear();
    start(*device);  // no buffers to receive
    for (int i = 0; i < 2000; ++i) {
        const Header header{.src_port = std::uint32_t(i), .dst_port = 2, .op = op_data};
        const std::string text(reinterpret_cast<const char*>(&header), header_size);
        if (!queue(tx).offer({put(text)}, {})) {
            break;
        }
        notify(tx);
        (void)queue(tx).take();
    }
    EXPECT_GE(queue(tx).outstanding(), 200u) << "they stay with the guest";
    EXPECT_FALSE(broken());
    give(200);
    int resets = 0;
    while (hear_short().op == op_reset) {
        ++resets;
    }
    EXPECT_EQ(resets, 200);
    int used = 0;
    while (queue(tx).take()) {
        ++used;
    }
    EXPECT_GE(used, 150) << "and go on when there is room";
}

TEST_F(VirtioVsock, ConnectionsAreBounded) {
    struct rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    const auto before = limit;
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 8192);
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 3 * Vsock::most_connections) {
        GTEST_SKIP() << "RLIMIT_NOFILE is " << limit.rlim_cur;
    }
    const kvm::Fd listener = listen_for(80);
    std::vector<kvm::Fd> peers;
    std::uint64_t opened = 0;
    for (std::uint32_t i = 0; i < Vsock::most_connections + 50; ++i) {
        ASSERT_TRUE(say(op_request, 10'000 + i, 80));
        opened += hear_short().op == op_response;
        if (kvm::Fd peer = accept(listener); peer.valid()) {
            peers.push_back(std::move(peer));
        }
    }
    EXPECT_EQ(opened, Vsock::most_connections);
    EXPECT_EQ(device->report().refused, 50u);
    const kvm::Fd late = dial();
    settle();
    EXPECT_EQ(take(late), "(end)");
    EXPECT_TRUE(say(op_reset, 10'000, 80));
    EXPECT_TRUE(say(op_request, 9'999, 80));
    EXPECT_EQ(hear_short().op, op_response) << "there is room again";
    stop();
    (void)::setrlimit(RLIMIT_NOFILE, &before);
}

TEST_F(VirtioVsock, ConnectionsThatComeAndGoLeaveNothing) {
    returns = false;
    const kvm::Fd listener = listen_for(80);
    given.clear();
    start(*device);
    for (int i = 0; i < 3000; ++i) {
        ASSERT_TRUE(say(op_request, 1000, 80));
        ASSERT_TRUE(accept(listener).valid());
        ASSERT_TRUE(say(op_reset, 1000, 80));
    }
    EXPECT_EQ(device->report().open, 0u);
    give(8);
    EXPECT_FALSE(hear()) << "what was to be said of them is forgotten";
}

TEST_F(VirtioVsock, APeerThatGoesWhileTheGuestDoesNotReadCostsNothing) {
    kvm::Fd peer = connect(1000, 80);
    EXPECT_TRUE(say({.src_port = 1000, .dst_port = 80, .op = op_credit, .buf_alloc = 0}));
    ASSERT_TRUE(put_in(peer, "unread"));
    peer = kvm::Fd(-1);
    settle();
    int turns = 0;
    while (turns < 100 && reactor->turn(1ms) > 0) {
        ++turns;
    }
    EXPECT_LT(turns, 100);
    while (hear()) {
    }
    EXPECT_TRUE(say({.src_port = 1000, .dst_port = 80, .op = op_credit, .buf_alloc = 100}));
    std::string heard;
    while (const auto packet = wait_packet()) {
        heard += packet->data;
        if (packet->header.op == op_shutdown && packet->header.flags == both) {
            break;
        }
    }
    EXPECT_EQ(heard, "unread");
}

TEST_F(VirtioVsock, AGuestThatNeverAnswersIsGivenUp) {
    const kvm::Fd peer = dial();
    ASSERT_TRUE(put_in(peer, "CONNECT 22\n"));
    ASSERT_TRUE(wait_packet());
    const auto packet = wait_packet();
    ASSERT_TRUE(packet) << "within some seconds";
    EXPECT_EQ(packet->header.op, op_reset);
    EXPECT_EQ(take(peer), "(end)");
    EXPECT_EQ(device->report().open, 0u);
}

TEST(VirtioVsockConnection, WhatItsPeerTookIsNotKept) {
    virtio::detail::VsockConnection connection(1, 2, kvm::Fd(-1));
    for (int i = 0; i < 1000; ++i) {
        std::ranges::fill(connection.append(100), static_cast<std::byte>(i));
        if (i > 0) {  // there is always something that waits
            EXPECT_EQ(connection.buffer[connection.flushed], static_cast<std::byte>(i - 1));
            connection.flushed += 100;
        }
        ASSERT_EQ(connection.waiting(), 100u);
    }
    EXPECT_LE(connection.buffer.size(), 400u);
}

TEST_F(VirtioVsock, ItsConfigurationCannotBeWritten) {
    write_config(0, std::uint64_t(1));
    EXPECT_EQ(read_config<std::uint64_t>(0), cid);
    EXPECT_EQ(read_config<std::uint64_t>(5), 0u);
    EXPECT_EQ(read_config<std::uint64_t>(0xfffffffffffffff9), 0u);
}

}  // namespace
}  // namespace vmm::test
