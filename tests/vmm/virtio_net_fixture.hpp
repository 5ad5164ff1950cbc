// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/net_loop.hpp>
#include <vmm/virtio/net.hpp>
#include <vmm/virtio/net_features.hpp>
#include <vmm/virtio_fixture.hpp>

namespace vmm::test {

using virtio::feature::ring_packed;
namespace nf = virtio::net_feature;
namespace nc = virtio::net_command;

inline constexpr std::uint64_t all = ~std::uint64_t(0);
inline constexpr net::Mac card{{2, 0, 0, 0, 0, 1}};
inline constexpr net::Mac other{{2, 0, 0, 0, 0, 2}};
inline constexpr net::Mac group{{1, 0, 0x5e, 0, 0, 1}};

/// A frame to `mac`, `size` bytes long, which says `first` behind its addresses.
inline std::vector<std::byte> frame(const net::Mac& mac = card, std::size_t size = 60,
                                    unsigned char first = 1) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = std::byte(first + i);
    }
    std::memcpy(bytes.data(), mac.bytes.data(), 6);
    return bytes;
}

class VirtioNetTest : public VirtioDeviceTest {
protected:
    void make(std::uint16_t queues = 1, virtio::NetOptions options = {}) {
        auto made = std::make_unique<LoopBackend>(queues);
        backend = made.get();
        options.mac = card;
        device = must(virtio::Net::create(std::move(made), options, *reactor));
    }
    void begin(std::uint64_t accepted = all & ~ring_packed, std::uint16_t queues = 1,
               virtio::NetOptions options = {}, std::uint16_t size = 64) {
        make(queues, std::move(options));
        start(*device, accepted, size);
        ASSERT_FALSE(broken());
    }
    void TearDown() override {
        stop();
        device.reset();
    }
    /// A frame from the driver, with a header before it; whether it was used.
    bool send(const std::vector<std::byte>& bytes, std::uint16_t lane = 0) {
        std::vector<std::byte> whole(12);
        whole.insert(whole.end(), bytes.begin(), bytes.end());
        const auto index = static_cast<std::uint16_t>(2 * lane + 1);
        queue(index).offer({put(whole)}, {});
        notify(index);
        return queue(index).take().has_value();
    }
    void await_interrupt(std::uint16_t index) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (interrupts[index] == 0 && std::chrono::steady_clock::now() < end) {
            reactor->turn(std::chrono::milliseconds(10));
        }
        EXPECT_GE(interrupts[index], 1);
    }
    std::vector<virtio::Buffer> offer_rooms(int count, std::size_t size, std::uint16_t lane = 0) {
        const auto index = static_cast<std::uint16_t>(2 * lane);
        std::vector<virtio::Buffer> rooms;
        for (int i = 0; i < count; ++i) {
            rooms.push_back(room(size));
            EXPECT_TRUE(queue(index).offer({}, {rooms.back()}));
        }
        notify(index);
        return rooms;
    }
    /// A frame comes from the network.
    void arrive(const std::vector<std::byte>& bytes, std::uint16_t lane = 0) {
        backend->arrive(lane, bytes);
        settle();
    }
    std::uint16_t control_index() const {
        return static_cast<std::uint16_t>((features() & nf::mq) ? 2 * pairs() : 2);
    }
    std::uint16_t pairs() const { return backend->queues(); }
    /// What the device answers to a command.
    int command(std::initializer_list<unsigned> head, const std::vector<std::byte>& data = {}) {
        std::vector<std::byte> bytes;
        for (const unsigned byte : head) {
            bytes.push_back(std::byte(byte));
        }
        bytes.insert(bytes.end(), data.begin(), data.end());
        const auto reply = request(control_index(), bytes, 1);
        return reply && reply->length == 1 ? int(reply->bytes[0]) : -1;
    }
    static std::vector<std::byte> raw(const auto& value) {
        const auto bytes = std::as_bytes(std::span(&value, 1));
        return {bytes.begin(), bytes.end()};
    }
    static std::vector<std::byte> table(std::initializer_list<net::Mac> macs) {
        auto bytes = raw(static_cast<std::uint32_t>(macs.size()));
        for (const net::Mac& mac : macs) {
            const auto more = raw(mac);
            bytes.insert(bytes.end(), more.begin(), more.end());
        }
        return bytes;
    }
    static std::vector<std::byte> joined(std::vector<std::byte> a,
                                         const std::vector<std::byte>& b) {
        a.insert(a.end(), b.begin(), b.end());
        return a;
    }

    LoopBackend* backend = nullptr;
    std::unique_ptr<virtio::Net> device;
};

}  // namespace vmm::test
