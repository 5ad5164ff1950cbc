// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/virtio_net_fixture.hpp>

namespace vmm::test {
namespace {

using namespace std::chrono_literals;

class VirtioNet : public VirtioNetTest {
protected:
    /// Offers one chain to receive in: `count` buffers of `size` bytes, one after the other.
    void offer_pieces(std::uint16_t count, std::uint16_t size) {
        using virtio::Buffer;
        QueueDriver& driver = queue(0);
        const kvm::Gpa table = allocate(16ull * count);
        pieces_at = allocate(std::uint64_t{count} * size);
        const auto id = driver.offer({}, {Buffer{pieces_at, size}});
        ASSERT_TRUE(id);
        for (std::uint16_t i = 0; i < count; ++i) {
            const bool last = i + 1 == count;
            driver.set_raw(
                table + 16ull * i,
                {(pieces_at + std::uint64_t{i} * size).value(), size,
                 static_cast<std::uint16_t>(QueueDriver::write | (last ? 0 : QueueDriver::next)),
                 static_cast<std::uint16_t>(last ? 0 : i + 1)});
        }
        driver.set_raw(driver.slot(*id), {table.value(), 16u * count, QueueDriver::indirect});
        transport().notify(0);
    }
    /// A frame comes from the network, and the device comes to rest.
    void arrive_and_rest(const std::vector<std::byte>& bytes) {
        backend->arrive(0, bytes);
        for (int i = 0; i < 10; ++i) {
            (void)reactor->turn(0ms);
        }
        EXPECT_EQ(reactor->turn(20ms), 0);
    }

    kvm::Gpa pieces_at{};  ///< the first of the last chain that offer_pieces() made
};

TEST_F(VirtioNet, ItsConfigurationSaysWhatItIs) {
    begin(all, 4, {.mtu = 9000});
    EXPECT_EQ(read_config<net::Mac>(0), card);
    EXPECT_EQ(read_config<std::uint16_t>(6), 1);  // the link is up
    EXPECT_EQ(read_config<std::uint16_t>(8), 4);
    EXPECT_EQ(read_config<std::uint16_t>(10), 9000);
    EXPECT_EQ(read_config<std::uint64_t>(12), 0u);
    EXPECT_EQ(read_config<std::uint64_t>(0xffff'ffff'ffff'fff0), 0u);
    write_config<std::uint64_t>(0, 77);
    write_config<std::uint64_t>(0xffff'ffff'ffff'fff0, 77);
    EXPECT_EQ(read_config<net::Mac>(0), card);
    EXPECT_EQ(transport().queue_count(), 9);
}

TEST_F(VirtioNet, FramesGoBothWaysInBothKindsOfQueue) {
    for (const std::uint64_t accepted : {all & ~ring_packed, all}) {
        begin(accepted);
        EXPECT_TRUE(send(frame(other, 1514)));
        ASSERT_EQ(backend->sent_frames.size(), 1u);
        EXPECT_EQ(backend->sent_frames[0], frame(other, 1514));
        const auto rooms = offer_rooms(50, 1600);
        arrive(frame(card, 200));
        const auto used = queue(0).take();
        ASSERT_TRUE(used);
        EXPECT_EQ(used->length, 212u);
        const auto got = get(rooms[0]);
        EXPECT_EQ(std::to_integer<int>(got[10]), 1);  // num_buffers
        EXPECT_TRUE(std::ranges::equal(std::span(got).subspan(12, 200), frame(card, 200)));
        EXPECT_EQ(interrupts[0], 1);
        await_interrupt(1);
        interrupts.clear();
        stop();
    }
}

TEST_F(VirtioNet, TheDriverHearsOfSentFramesALittleLaterAndTogether) {
    begin(all & ~ring_packed & ~virtio::feature::event_idx);
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(send(frame(other)));
    }
    await_interrupt(1);
    EXPECT_LE(interrupts[1], 3);  // one, unless this test was held up between frames
    interrupts.clear();
    EXPECT_TRUE(send(frame(other)));
    await_interrupt(1);
}

TEST_F(VirtioNet, TheDriverHearsAtOnceWhenAQuarterOfItsBuffersWasSent) {
    begin(all & ~ring_packed & ~virtio::feature::event_idx);
    std::vector<std::byte> whole(12);
    const auto sent = frame(other);
    whole.insert(whole.end(), sent.begin(), sent.end());
    const auto buffer = put(whole);
    for (int i = 0; i < 16; ++i) {  // of 64
        ASSERT_TRUE(queue(1).offer({buffer}, {}));
    }
    transport().notify(1);
    (void)reactor->turn(std::chrono::milliseconds(0));
    EXPECT_EQ(interrupts[1], 1);
    EXPECT_EQ(backend->sent_frames.size(), 16u);
}

TEST_F(VirtioNet, ALongFrameTakesSeveralBuffersAtOnce) {
    for (const std::uint64_t accepted : {all & ~ring_packed, all}) {
        begin(accepted);
        const auto rooms = offer_rooms(50, 1536);
        const auto long_frame = frame(card, 5000);
        arrive(long_frame);
        std::vector<std::byte> got;
        for (int i = 0; i < 4; ++i) {
            const auto used = queue(0).take();
            ASSERT_TRUE(used) << i;
            const auto part = get(rooms[static_cast<std::size_t>(i)]);
            got.insert(got.end(), part.begin(), part.begin() + used->length);
        }
        EXPECT_FALSE(queue(0).take());
        EXPECT_EQ(std::to_integer<int>(got[10]), 4);
        EXPECT_TRUE(std::ranges::equal(std::span(got).subspan(12), long_frame));
        stop();
    }
}

TEST_F(VirtioNet, WithoutMergeableBuffersAFrameTakesOneOrIsDropped) {
    begin(all & ~ring_packed & ~nf::mrg_rxbuf);
    offer_rooms(2, 112);
    arrive(frame(card, 101));
    EXPECT_FALSE(queue(0).take());
    EXPECT_EQ(device->counters().too_long, 1u);
    arrive(frame(card, 100));
    const auto used = queue(0).take();
    ASSERT_TRUE(used);
    EXPECT_EQ(used->length, 112u);
}

TEST_F(VirtioNet, AFrameWaitsForBuffersAndNothingSpins) {
    begin();
    arrive(frame(card, 3000));
    arrive(frame(card, 70, 9));
    EXPECT_EQ(reactor->turn(20ms), 0);
    auto rooms = offer_rooms(1, 1536);
    EXPECT_FALSE(queue(0).has_used());  // it needs two
    EXPECT_EQ(reactor->turn(20ms), 0);
    rooms.push_back(offer_rooms(1, 1536)[0]);
    EXPECT_EQ(queue(0).take()->length, 1536u);
    EXPECT_EQ(queue(0).take()->length, 3012u - 1536u);
    EXPECT_FALSE(queue(0).has_used());
    offer_rooms(1, 1536);
    EXPECT_EQ(queue(0).take()->length, 82u);
    EXPECT_EQ(device->counters().too_long, 0u);
}

TEST_F(VirtioNet, BuffersInMorePiecesThanACallTakesHoldAFrame) {
    for (const std::uint64_t without : {std::uint64_t{0}, nf::mrg_rxbuf}) {
        begin(all & ~ring_packed & ~without);
        offer_pieces(1024, 2);
        arrive_and_rest(frame(card, 1500));
        const auto used = queue(0).take();
        ASSERT_TRUE(used) << without;
        EXPECT_EQ(used->length, 1512u);
        const auto got = get({pieces_at, 1512});
        EXPECT_TRUE(std::ranges::equal(std::span(got).subspan(12), frame(card, 1500)));
        offer_pieces(1024, 1);
        arrive_and_rest(frame(card, 1500));  // longer than that
        EXPECT_EQ(device->counters().too_long, 1u);
        arrive_and_rest(frame(card, 500));
        EXPECT_TRUE(queue(0).take());
        EXPECT_EQ(complaint(), "");
        stop();
    }
}

TEST_F(VirtioNet, AFrameThatAllPiecesOfACallCannotHoldIsDropped) {
    begin();
    offer_pieces(1000, 1);
    offer_pieces(1000, 1);
    arrive_and_rest(frame(card, 1500));
    EXPECT_EQ(device->counters().too_long, 1u);
    arrive_and_rest(frame(card, 800));
    EXPECT_EQ(queue(0).take()->length, 812u);
    arrive_and_rest(frame(card, 800));
    EXPECT_EQ(queue(0).take()->length, 812u);
}

TEST_F(VirtioNet, AFrameThatAllOfTheQueueCannotHoldIsDropped) {
    begin(all & ~ring_packed, 1, {}, 4);
    offer_rooms(4, 100);
    arrive(frame(card, 1000));
    EXPECT_EQ(device->counters().too_long, 1u);
    arrive(frame(card, 80));
    EXPECT_EQ(queue(0).take()->length, 92u);
}

TEST_F(VirtioNet, TheDriverChoosesWhichFramesItWants) {
    begin();
    offer_rooms(60, 1600);
    arrive(frame(other));
    EXPECT_TRUE(queue(0).take());  // promiscuous at first
    EXPECT_EQ(command({nc::rx, nc::rx_promiscuous, 0}), nc::ok);
    arrive(frame(other));
    arrive(frame(group));
    EXPECT_FALSE(queue(0).take());
    EXPECT_EQ(device->counters().filtered, 2u);
    arrive(frame(card));
    arrive(frame({{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}));
    EXPECT_TRUE(queue(0).take());
    EXPECT_TRUE(queue(0).take());
    EXPECT_EQ(command({nc::mac, nc::mac_table_set}, joined(table({other}), table({group}))),
              nc::ok);
    arrive(frame(other));
    arrive(frame(group));
    EXPECT_TRUE(queue(0).take());
    EXPECT_TRUE(queue(0).take());
    EXPECT_EQ(command({nc::mac, nc::mac_table_set}, joined(table({}), table({}))), nc::ok);
    EXPECT_EQ(command({nc::rx, nc::rx_all_multicast, 1}), nc::ok);
    arrive(frame(other));
    arrive(frame(group));
    EXPECT_TRUE(queue(0).take());
    EXPECT_FALSE(queue(0).take());
    EXPECT_EQ(command({nc::mac, nc::mac_address_set}, raw(other)), nc::ok);
    EXPECT_EQ(read_config<net::Mac>(0), other);
    arrive(frame(other));
    EXPECT_TRUE(queue(0).take());
}

TEST_F(VirtioNet, CommandsThatAreWrongAreRefusedAndNothingElseHappens) {
    begin(all & ~ring_packed, 2);
    const auto none = raw(std::uint32_t(0));
    EXPECT_EQ(command({}), nc::error);
    for (const unsigned kind : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 255u}) {
        EXPECT_EQ(command({kind}), nc::error);
        EXPECT_EQ(command({kind, 200u}), nc::error);
        EXPECT_EQ(command({kind, 200u}, frame()), nc::error);
    }
    EXPECT_EQ(command({nc::rx, nc::rx_promiscuous}), nc::error);
    EXPECT_EQ(command({nc::mac, nc::mac_table_set}), nc::error);
    EXPECT_EQ(command({nc::mac, nc::mac_table_set}, none), nc::error);
    EXPECT_EQ(command({nc::mac, nc::mac_table_set}, raw(0xffffffffu)), nc::error);
    EXPECT_EQ(command({nc::mac, nc::mac_table_set}, joined(raw(std::uint32_t(1)), none)),
              nc::error);
    EXPECT_EQ(command({nc::mac, nc::mac_table_set}, joined(joined(none, none), none)), nc::error);
    EXPECT_EQ(command({nc::mac, nc::mac_address_set}, raw(group)), nc::error);
    EXPECT_EQ(command({nc::mac, nc::mac_address_set}, {std::byte{2}}), nc::error);
    for (const unsigned pairs : {0u, 3u, 0x8000u, 0xffffu}) {
        EXPECT_EQ(command({nc::mq, nc::mq_pairs_set}, raw(static_cast<std::uint16_t>(pairs))),
                  nc::error);
    }
    EXPECT_EQ(command({nc::guest_offloads, 0}, raw(~std::uint64_t(0))), nc::error);
    EXPECT_EQ(command({nc::guest_offloads, 0}, raw(std::uint32_t(0))), nc::error);
    EXPECT_EQ(backend->used, 1);
    EXPECT_EQ(complaint(), "");
    EXPECT_EQ(command({nc::announce, 0}), nc::ok);
    EXPECT_EQ(command({nc::guest_offloads, 0}, raw(std::uint64_t(nf::guest_csum))), nc::ok);
    EXPECT_EQ(backend->offloads, net::Offloads(net::Offload::checksum));
}

TEST_F(VirtioNet, ACommandWithoutRoomForTheAnswerDisablesTheDevice) {
    begin();
    queue(2).offer({put("\0\0\0")}, {});
    notify(2);
    EXPECT_TRUE(broken());
    EXPECT_NE(complaint().find("without room for the answer"), std::string::npos);
}

TEST_F(VirtioNet, SeveralPairsOfQueuesAreUsedWhenTheDriverSaysSo) {
    begin(all & ~ring_packed, 4);
    EXPECT_FALSE(send(frame(), 3));
    EXPECT_EQ(command({nc::mq, nc::mq_pairs_set}, raw(std::uint16_t(4))), nc::ok);
    settle();
    EXPECT_EQ(backend->used, 4);
    EXPECT_TRUE(queue(7).take());
    for (std::uint16_t lane = 0; lane < 4; ++lane) {
        offer_rooms(50, 1600, lane);
        arrive(frame(), lane);
        EXPECT_TRUE(queue(static_cast<std::uint16_t>(2 * lane)).take());
        EXPECT_TRUE(send(frame(), lane));
        EXPECT_EQ(backend->lanes.back(), lane);
    }
}

TEST_F(VirtioNet, OffloadsAreWhatTheDriverAccepted) {
    begin(nf::csum | nf::guest_csum | nf::guest_tso4 | nf::mrg_rxbuf);
    EXPECT_EQ(backend->offloads, net::Offload::checksum | net::Offload::tso4);
    stop();
    device.reset();
    begin(0);
    EXPECT_EQ(backend->offloads, net::Offloads());
}

}  // namespace
}  // namespace vmm::test
