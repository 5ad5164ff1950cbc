// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/virtio_net_fixture.hpp>

namespace vmm::test {
namespace {

using namespace std::chrono_literals;

class VirtioNetGuest : public VirtioNetTest {
protected:
    /// Another device goes on from this one's state; the one before, which must outlive it.
    std::unique_ptr<virtio::Net> go_on_elsewhere() {
        const auto snapshot = must(transport().save());
        auto old = std::move(device);
        make(2);
        resume(*device, snapshot);
        return old;
    }
};

TEST_F(VirtioNetGuest, FramesThatCannotBeAreCountedAndUsed) {
    begin();
    for (const std::size_t size : {0u, 1u, 11u, 12u, 25u, 66000u}) {
        queue(1).offer({put(std::vector<std::byte>(size))}, {});
        notify(1);
        EXPECT_TRUE(queue(1).take()) << size;
    }
    queue(1).offer({}, {room(100)});
    queue(1).offer({{kvm::Gpa(0x1000), 0xffffffff}}, {});
    queue(1).offer({{kvm::Gpa(0x1000), 0}, {kvm::Gpa(0), 0}}, {});
    notify(1);
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(queue(1).take());
    }
    backend->refuse = true;  // a header that lies: the kernel says so
    EXPECT_TRUE(send(frame()));
    EXPECT_EQ(device->counters().send_refused, 10u);
    backend->refuse = false;
    EXPECT_TRUE(send(frame()));
    EXPECT_EQ(device->counters().sent, 1u);
    EXPECT_EQ(complaint(), "");
}

TEST_F(VirtioNetGuest, BuffersOutsideMemoryDisableTheDeviceAlone) {
    begin();
    queue(1).offer({{kvm::Gpa(hole.value() - 100), 200}}, {});
    notify(1);
    EXPECT_TRUE(broken());
    EXPECT_EQ(complaints.size(), 1u);
    stop();
    device.reset();
    begin();
    queue(0).offer({}, {{kvm::Gpa(hole.value() - 100), 2000}});
    notify(0);
    EXPECT_TRUE(broken());
    stop();
    device.reset();
    begin();
    queue(0).offer({}, {{rom, 2000}});
    notify(0);
    EXPECT_TRUE(broken());
    arrive(frame());  // goes nowhere
}

TEST_F(VirtioNetGuest, BuffersOfNoOrFourGibibytesAreTakenAsTheyAre) {
    begin();
    queue(0).offer({}, {{kvm::Gpa(0x1000), 0}});
    queue(0).offer({}, {{kvm::Gpa(0x1000), 0}, room(5), room(7), room(100)});
    notify(0);
    arrive(frame());
    EXPECT_EQ(complaint(), "");
    stop();
    device.reset();
    begin();
    queue(0).offer({}, {{kvm::Gpa(0x1000), 0xffffffff}});
    notify(0);
    arrive(frame());
    EXPECT_EQ(queue(0).take()->length, 72u);  // its first 64 KiB are memory
}

TEST_F(VirtioNetGuest, WhatTheNetworkCannotTakeNowIsSentLater) {
    begin();
    backend->full = true;
    EXPECT_FALSE(send(frame()));
    EXPECT_EQ(reactor->turn(20ms), 0);
    backend->full = false;
    backend->room();
    settle();
    EXPECT_TRUE(queue(1).take());
    EXPECT_EQ(backend->sent_frames.size(), 1u);
}

TEST_F(VirtioNetGuest, TheLinksStateIsTold) {
    begin();
    backend->set_link(net::Link::down);
    EXPECT_EQ(read_config<std::uint16_t>(6), 0);
    EXPECT_EQ(config_interrupts, 1);
    backend->set_link(net::Link::up);
    EXPECT_EQ(read_config<std::uint16_t>(6), 3);  // and to be announced
    EXPECT_EQ(command({nc::announce, 0}), nc::ok);
    EXPECT_EQ(read_config<std::uint16_t>(6), 1);
}

TEST_F(VirtioNetGuest, RatesAreKept) {
    const RateLimits rates{.operations = {.per_second = 20, .burst = 1}};
    begin(all & ~ring_packed, 1, {.send = rates, .receive = rates});
    offer_rooms(60, 1600);
    for (int i = 0; i < 6; ++i) {
        backend->arrive(0, frame());
        queue(1).offer({put(std::vector<std::byte>(72))}, {});
    }
    notify(1);
    const auto begin_time = std::chrono::steady_clock::now();
    int sent = 0, received = 0;
    while ((sent < 6 || received < 6) && std::chrono::steady_clock::now() - begin_time < 5s) {
        reactor->turn(5ms);
        sent += queue(1).take().has_value();
        received += queue(0).take().has_value();
    }
    EXPECT_EQ(sent, 6);
    EXPECT_EQ(received, 6);
    EXPECT_GT(std::chrono::steady_clock::now() - begin_time, 180ms);
}

TEST_F(VirtioNetGuest, ItGoesOnFromASavedState) {
    begin(all & ~ring_packed, 2);
    offer_rooms(3, 1600);
    EXPECT_EQ(command({nc::mq, nc::mq_pairs_set}, raw(std::uint16_t(2))), nc::ok);
    EXPECT_EQ(command({nc::rx, nc::rx_promiscuous, 0}), nc::ok);
    EXPECT_EQ(command({nc::mac, nc::mac_address_set}, raw(other)), nc::ok);
    EXPECT_EQ(command({nc::mac, nc::mac_table_set}, joined(table({}), table({group}))), nc::ok);
    const auto old = go_on_elsewhere();
    EXPECT_EQ(backend->used, 2);
    EXPECT_EQ(config_interrupts, 1) << "the driver is to announce itself";
    EXPECT_EQ(read_config<std::uint16_t>(6), 3);
    EXPECT_EQ(backend->offloads, net::Offload::checksum | net::Offload::tso4 | net::Offload::tso6);
    for (const net::Mac& mac : {card, other, group}) {
        backend->arrive(0, frame(mac));
    }
    settle();
    EXPECT_EQ(device->counters().received, 2u);
    EXPECT_EQ(device->counters().filtered, 1u);
    EXPECT_TRUE(queue(0).take());
    EXPECT_TRUE(queue(0).take());
    EXPECT_EQ(read_config<net::Mac>(0), other);
    EXPECT_EQ(code(device->restore({})), EINVAL);
    EXPECT_EQ(code(device->restore(frame())), EINVAL);
    stop();
}

TEST_F(VirtioNetGuest, OffloadsThatTheDriverGaveUpStayAway) {
    begin(all & ~ring_packed, 2);
    EXPECT_EQ(command({nc::guest_offloads, nc::guest_offloads_set}, raw(std::uint64_t{0})), nc::ok);
    const auto old = go_on_elsewhere();
    EXPECT_EQ(backend->offloads, net::Offloads());
    stop();
}

TEST_F(VirtioNetGuest, OneThatNoDriverHasYetStartsElsewhereAsNew) {
    make(2);
    attach(*device);
    const auto old = go_on_elsewhere();
    EXPECT_EQ(read_config<std::uint16_t>(6), 1);
    start(*device, all & ~ring_packed, 64);
    EXPECT_EQ(backend->offloads, backend->gives());
    EXPECT_EQ(read_config<std::uint16_t>(6), 1) << "nothing to announce";
    EXPECT_EQ(config_interrupts, 0);
    stop();
}

TEST_F(VirtioNetGuest, AResetForgetsWhatTheDriverSaid) {
    begin();
    offer_rooms(3, 1600);
    EXPECT_EQ(command({nc::rx, nc::rx_promiscuous, 0}), nc::ok);
    EXPECT_EQ(command({nc::mac, nc::mac_address_set}, raw(other)), nc::ok);
    transport().set_status(0);
    EXPECT_EQ(read_config<net::Mac>(0), card);
    arrive(frame(other));
    start(*device, all & ~ring_packed, 64);
    offer_rooms(3, 1600);
    arrive(frame(group));
    EXPECT_TRUE(queue(0).take());
}

}  // namespace
}  // namespace vmm::test
