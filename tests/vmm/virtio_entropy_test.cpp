// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <set>
#include <vmm/virtio/entropy.hpp>
#include <vmm/virtio_fixture.hpp>

namespace vmm::test {
namespace {

using virtio::Entropy;

class VirtioEntropy : public VirtioDeviceTest {
protected:
    Entropy device;
    Entropy limited{Rate{.per_second = 10'000, .burst = 100}};
};

TEST_F(VirtioEntropy, GivesWhatIsAskedForAndNeverTheSameTwice) {
    start(device);
    std::set<std::vector<std::byte>> seen;
    for (int i = 0; i < 200; ++i) {
        const auto reply = request(0, {}, 16);
        ASSERT_TRUE(reply) << complaint();
        EXPECT_EQ(reply->length, 16u);
        EXPECT_TRUE(seen.insert(reply->bytes).second);
    }
    const auto large = request(0, {}, 100'000);
    ASSERT_TRUE(large);
    EXPECT_EQ(large->length, Entropy::most_bytes);
    const auto rest = std::span(large->bytes).subspan(Entropy::most_bytes);
    EXPECT_TRUE(std::ranges::all_of(rest, [](std::byte b) { return b == std::byte{0}; }));
    const auto part = std::span(large->bytes).subspan(Entropy::most_bytes - 4096, 4096);
    EXPECT_FALSE(std::ranges::all_of(part, [](std::byte b) { return b == std::byte{0}; }));
}

TEST_F(VirtioEntropy, ServesABatchWithOneInterrupt) {
    start(device);
    for (int i = 0; i < 10; ++i) {
        ASSERT_TRUE(queue(0).offer({}, {room(8)}));
    }
    notify(0);
    for (int i = 0; i < 10; ++i) {
        ASSERT_TRUE(queue(0).take());
    }
    EXPECT_LE(interrupts[0], 1);
    for (int i = 0; i < 60; ++i) {  // more than it serves at once
        ASSERT_TRUE(queue(0).offer({}, {room(8)}));
    }
    notify(0);
    for (int i = 0; i < 60; ++i) {
        ASSERT_TRUE(wait_used(0)) << i;
    }
}

TEST_F(VirtioEntropy, KeepsToItsRate) {
    start(limited);
    const auto begin = std::chrono::steady_clock::now();
    std::uint64_t bytes = 0;
    for (int i = 0; i < 20; ++i) {
        const auto reply = request(0, {}, 100);
        ASSERT_TRUE(reply) << complaint();
        bytes += reply->length;
    }
    EXPECT_EQ(bytes, 2000u);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(150))
        << "2000 bytes of 10000 a second, less a burst of 100 and one that may be owed";
}

TEST_F(VirtioEntropy, ALimitIsNoWayToBeAskedForEver) {
    start(limited);
    ASSERT_TRUE(queue(0).offer({}, {room(100)}));
    ASSERT_TRUE(queue(0).offer({}, {room(100)}));
    ASSERT_TRUE(queue(0).offer({}, {room(100)}));
    for (int i = 0; i < 1000; ++i) {
        transport().notify(0);
        reactor->turn(std::chrono::milliseconds(0));
    }
    int used = 0;
    while (used < 3 && wait_used(0)) {
        ++used;
    }
    EXPECT_EQ(used, 3);
    stop();  // with a timer that may run
    start(limited);
    EXPECT_TRUE(request(0, {}, 1));
}

TEST_F(VirtioEntropy, RefusesWhatIsNoRoom) {
    const virtio::Buffer lies[] = {
        {hole, 16},                                 // nothing there
        {hole + (std::uint64_t(0) - 8), 16},        // across its beginning
        {rom, 16},                                  // cannot be written
        {kvm::Gpa(0xffff'ffff'ffff'fff0), 0x20},    // beyond the end of addresses
        {room(8).address, 0},                       // no bytes
        {kvm::Gpa(0xffff'ffff'0000), 0xffff'ffff},  // 4 GiB
    };
    for (const virtio::Buffer& lie : lies) {
        start(device);
        ASSERT_TRUE(queue(0).offer({}, {lie}));
        notify(0);
        EXPECT_TRUE(broken()) << lie.address.value();
        EXPECT_TRUE(complaint().starts_with("rng: disabled")) << complaint();
        start(device);
        EXPECT_TRUE(request(0, {}, 16)) << "a reset makes it good";
    }
    start(device);
    ASSERT_TRUE(queue(0).offer({put("data")}, {}));
    notify(0);
    EXPECT_TRUE(broken()) << "a buffer of the wrong direction";
}

TEST_F(VirtioEntropy, HasNoConfigurationToWrite) {
    start(device);
    write_config(0, std::uint64_t(~0));
    write_config(0xffff'ffff'ffff'fffc, std::uint64_t(~0));
    EXPECT_EQ(read_config<std::uint64_t>(0), 0u);
    EXPECT_TRUE(request(0, {}, 1));
}

TEST_F(VirtioEntropy, GoesOnElsewhere) {
    start(device);
    ASSERT_TRUE(request(0, {}, 16));
    const auto state = must(transport().save());
    Entropy other;
    resume(other, state);
    EXPECT_TRUE(request(0, {}, 16)) << complaint();
    stop();
}

}  // namespace
}  // namespace vmm::test
