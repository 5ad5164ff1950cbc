// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <chrono>
#include <random>
#include <thread>
#include <vmm/virtio_queue_fixture.hpp>

namespace vmm::test {
namespace {

using Raw = QueueDriver::Raw;
constexpr auto next = QueueDriver::next, indirect = QueueDriver::indirect;
constexpr auto to_write = QueueDriver::write;

// Drivers that lie: what is wrong is named, and nothing else happens.

/// The areas that no queue can have.
TEST(VirtioHostileQueue, has_areas_that_are_misaligned_or_not_memory) {
    for (const std::uint64_t ring : {std::uint64_t(0), feature::ring_packed}) {
        QueuePair pair(ring);
        const QueueConfig good = pair.driver.config();
        const auto attempt = [&](auto change) {
            QueueConfig config = good;
            change(config);
            return code(Queue::create(pair.memory, config, ring));
        };
        const std::uint64_t places[] = {QueuePair::hole, QueuePair::hole - 4, QueuePair::end - 4,
                                        QueuePair::beyond - 16, ~std::uint64_t(15)};
        for (const std::uint64_t place : places) {
            const auto at = [&](std::uint64_t alignment) {
                return kvm::Gpa(place / alignment * alignment);
            };
            EXPECT_EQ(attempt([&](auto& c) { c.descriptors = at(16); }), EFAULT) << place;
            const bool fits = ring != 0 && place == QueuePair::hole - 4;
            const bool ends = ring != 0 && place == QueuePair::end - 4;
            EXPECT_EQ(attempt([&](auto& c) { c.driver = at(4); }), fits || ends ? -1 : EFAULT);
            EXPECT_EQ(attempt([&](auto& c) { c.device = at(4); }), fits || ends ? -1 : EFAULT);
        }
        for (const unsigned off : {1u, 2u, 4u, 8u}) {
            EXPECT_EQ(attempt([&](auto& c) { c.descriptors = c.descriptors + off; }), EINVAL);
        }
        EXPECT_EQ(attempt([&](auto& c) { c.driver = c.driver + 1; }), EINVAL);
        EXPECT_EQ(attempt([&](auto& c) { c.device = c.device + 2; }), EINVAL);
    }
}

TEST(VirtioHostileQueue, has_areas_in_read_only_memory) {
    const GuestMemory memory =
        make({{0_gpa, 0x4000}, {0x4000_gpa, 0x1000, backing::Anonymous{}, Access::read_only}});
    const QueueConfig config{8, 0_gpa, 0x1000_gpa, 0x4000_gpa};
    EXPECT_EQ(message(Queue::create(memory, config, 0)),
              "virtio queue: the used ring: guest address 0x4000, 70 bytes: read-only memory");
}

TEST(VirtioHostileSplit, has_a_loop) {
    QueuePair pair(0);
    ASSERT_TRUE(pair.driver.offer({{0_gpa, 1}, {0_gpa, 1}, {0_gpa, 1}}, {}));
    pair.driver.set_raw(pair.driver.slot(2), {0, 1, next, 0});
    EXPECT_EQ(code(pair.lie()), ELOOP);
    pair.driver.set_raw(pair.driver.slot(2), {0, 1, next, 2});
    EXPECT_EQ(message(pair.lie()), "virtio queue: a chain of more than 16 descriptors");
}

TEST(VirtioHostileSplit, names_descriptors_that_there_are_not) {
    QueuePair pair(0);
    ASSERT_TRUE(pair.driver.offer({{0_gpa, 1}, {0_gpa, 1}}, {}));
    for (const std::uint16_t bad : {std::uint16_t(16), std::uint16_t(0xffff)}) {
        pair.driver.set_raw(pair.driver.slot(0), {0, 1, next, bad});
        EXPECT_EQ(code(pair.lie()), EINVAL);
        pair.driver.set_available_entry(0, bad);
        EXPECT_EQ(message(pair.lie()),
                  "virtio queue: descriptor " + std::to_string(bad) + " of a table of 16");
        pair.driver.set_available_entry(0, 0);
    }
}

TEST(VirtioHostileSplit, has_an_index_that_jumps) {
    for (const auto to : std::initializer_list<std::uint16_t>{17, 18, 0x7fff, 0xfffe, 0xffff}) {
        QueuePair pair(0);
        pair.driver.set_available_index(to);
        EXPECT_EQ(message(pair.lie()),
                  "virtio queue: the available ring's index went from 0 to " + std::to_string(to));
    }
    QueuePair pair(0);  // no further than what is left while some are with the device
    ASSERT_TRUE(pair.driver.offer({{0_gpa, 1}}, {}));
    ASSERT_TRUE(pair.pop());
    pair.driver.set_available_index(17);
    EXPECT_EQ(code(pair.lie()), EINVAL);
    pair.driver.set_available_index(0);  // back
    EXPECT_EQ(code(pair.lie()), EINVAL);
    pair.driver.set_available_index(16);
    EXPECT_EQ(code(pair.lie()), -1);
}

TEST(VirtioHostileSplit, offers_the_same_chain_again_and_again) {
    QueuePair pair(0);
    for (std::uint16_t i = 0; i < 16; ++i) {
        pair.driver.set_available_entry(i, 3);
    }
    std::size_t popped = 0;
    for (std::uint16_t index = 1; index != 0; ++index) {
        pair.driver.set_available_index(index);
        if (!pair.lie()) {
            break;
        }
        ++popped;
    }
    EXPECT_EQ(popped, 16u);  // and not as many as the host has memory for
}

TEST(VirtioHostileSplit, has_indirect_tables_that_are_none) {
    QueuePair pair(feature::indirect_desc);
    ASSERT_TRUE(pair.driver.offer({{0_gpa, 1}}, {}));
    const auto attempt = [&](std::uint64_t address, std::uint32_t length,
                             std::uint16_t flags = indirect) {
        pair.driver.set_raw(pair.driver.slot(0), {address, length, flags, 1});
        return code(pair.lie());
    };
    constexpr std::uint64_t table = 0x80000;
    EXPECT_EQ(attempt(table, 0), EINVAL);
    for (const std::uint32_t length : {1u, 15u, 17u, 40u, 0xffffffffu}) {
        EXPECT_EQ(attempt(table, length), EINVAL);
    }
    EXPECT_EQ(attempt(table, 0xfffffff0), EFAULT);
    EXPECT_EQ(attempt(QueuePair::hole, 16), EFAULT);
    EXPECT_EQ(attempt(QueuePair::hole - 16, 32), EFAULT);
    EXPECT_EQ(attempt(~std::uint64_t(0), 16), EFAULT);
    EXPECT_EQ(attempt(table, 16, indirect | next), EINVAL);
    EXPECT_EQ(attempt(table, 16), -1);
    // It is where it likes, unaligned and marked writable.
    EXPECT_EQ(attempt(table + 3, 16, indirect | to_write), -1);
}

TEST(VirtioHostileSplit, has_indirect_tables_whose_entries_lie) {
    constexpr kvm::Gpa table{0x80000};
    QueuePair pair(feature::indirect_desc);
    const auto attempt = [&](const Raw& first, const Raw& second, std::uint32_t length = 32) {
        pair.driver.set_raw(table, first);
        pair.driver.set_raw(table + 16, second);
        pair.driver.set_raw(pair.driver.slot(0), {table.value(), length, indirect, 0});
        pair.driver.set_available_index(
            static_cast<std::uint16_t>(pair.queue.state().next_available + 1));
        return code(pair.lie());
    };
    EXPECT_EQ(attempt({0, 1, next, 2}, {}), EINVAL);      // no such entry
    EXPECT_EQ(attempt({0, 1, next, 1}, {}, 16), EINVAL);  // none of this table
    EXPECT_EQ(attempt({0, 1, next, 0}, {}), ELOOP);       // itself
    EXPECT_EQ(attempt({0, 1, next, 1}, {0, 1, next, 0}), ELOOP);
    EXPECT_EQ(attempt({table.value(), 16, indirect}, {}), EINVAL);
    EXPECT_EQ(attempt({0, 1, to_write | next, 1}, {}), EINVAL);  // a readable after a writable
    EXPECT_EQ(attempt({0, 1, next, 1}, {}), -1);
}

TEST(VirtioHostileSplit, mixes_a_chain_and_a_table) {
    constexpr kvm::Gpa table{0x80000};
    QueuePair pair(feature::indirect_desc, 4);
    pair.driver.set_raw(pair.driver.slot(0), {0x100, 1, next, 1});
    pair.driver.set_raw(pair.driver.slot(1), {table.value(), 16, indirect, 0});
    pair.driver.set_raw(table, {0x200, 2, to_write});
    pair.driver.set_available_index(1);
    const auto chain = pair.pop();  // which virtio allows
    ASSERT_TRUE(chain);
    EXPECT_EQ(chain->readable, (std::vector<Buffer>{{0x100_gpa, 1}}));
    EXPECT_EQ(chain->writable, (std::vector<Buffer>{{0x200_gpa, 2}}));
    // What comes before a table counts.
    pair.driver.set_raw(pair.driver.slot(1), {table.value(), 16 * 1024, indirect, 0});
    for (std::uint16_t i = 0; i < 1024; ++i) {
        pair.driver.set_raw(table + 16ull * i, {0, 0, next, static_cast<std::uint16_t>(i + 1)});
    }
    pair.driver.set_raw(table + 16ull * 1023, {});
    pair.driver.set_available_index(2);
    EXPECT_EQ(code(pair.lie()), ELOOP);
    pair.driver.set_raw(pair.driver.slot(0), {table.value(), 16 * 1024, indirect, 0});
    EXPECT_EQ(code(pair.lie()), -1);
}

TEST(VirtioHostilePacked, has_a_chain_longer_than_the_ring) {
    for (const int in_flight : {0, 1, 3}) {
        QueuePair pair(feature::ring_packed, 5);
        for (int i = 0; i < in_flight; ++i) {
            ASSERT_TRUE(pair.driver.offer({{0_gpa, 1}}, {}));
            ASSERT_TRUE(pair.pop());
        }
        for (std::uint16_t slot = 0; slot < 5; ++slot) {
            pair.driver.set_raw(pair.driver.slot(slot),
                                {0, 1, std::uint16_t(next | pair.driver.available_flags()), 0});
        }
        EXPECT_EQ(message(pair.lie()), "virtio queue: a chain of more than " +
                                           std::to_string(5 - in_flight) + " descriptors");
    }
}

TEST(VirtioHostilePacked, makes_slots_available_that_are_in_use) {
    QueuePair pair(feature::ring_packed, 3);
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(pair.driver.offer({{0_gpa, 1}}, {}));
        ASSERT_TRUE(pair.pop());
    }
    EXPECT_FALSE(pair.pop());
    pair.driver.set_raw(pair.driver.slot(0), {0, 1, pair.driver.available_flags(), 0});
    EXPECT_EQ(message(pair.lie()), "virtio queue: a slot that is in use was made available");
}

TEST(VirtioHostilePacked, has_flags_of_the_wrong_lap) {
    QueuePair pair(feature::ring_packed, 4);
    for (const unsigned flags :
         {0u, unsigned(QueueDriver::used), unsigned(QueueDriver::used | QueueDriver::available)}) {
        pair.driver.set_raw(pair.driver.slot(0), {0, 1, static_cast<std::uint16_t>(flags), 0});
        EXPECT_FALSE(pair.pop());
    }
    // What follows the first of a chain need not be marked, and any id is the driver's own matter.
    pair.driver.set_raw(pair.driver.slot(1), {0, 1, 0, 0xffff});
    pair.driver.set_raw(pair.driver.slot(0),
                        {0, 1, std::uint16_t(next | QueueDriver::available), 0});
    const auto chain = pair.pop();
    ASSERT_TRUE(chain);
    EXPECT_EQ(chain->id, 0xffff);
    EXPECT_EQ(chain->slots, 2);
    pair.queue.push(*chain, 5);
    EXPECT_EQ(pair.driver.raw(pair.driver.slot(0)).other, 0xffff);
}

TEST(VirtioHostilePacked, has_indirect_tables_that_are_none) {
    QueuePair pair(feature::ring_packed | feature::indirect_desc);
    const auto attempt = [&](std::uint64_t address, std::uint32_t length, unsigned flags = 0) {
        const auto all = flags | indirect | pair.driver.available_flags();
        pair.driver.set_raw(pair.driver.slot(pair.queue.state().next_available),
                            {address, length, static_cast<std::uint16_t>(all), 1});
        return code(pair.lie());
    };
    constexpr std::uint64_t table = 0x80000;
    for (const std::uint32_t length : {0u, 1u, 15u, 17u, 0xffffffffu}) {
        EXPECT_EQ(attempt(table, length), EINVAL);
    }
    EXPECT_EQ(attempt(0, 16 * 1025), ELOOP);
    EXPECT_EQ(attempt(QueuePair::hole, 16), EFAULT);
    EXPECT_EQ(attempt(QueuePair::hole - 16, 32), EFAULT);
    EXPECT_EQ(attempt(table, 16, next), EINVAL);
    EXPECT_EQ(attempt(table, 16), -1);
    EXPECT_EQ(attempt(table + 3, 16 * 1024), -1);
    // Flags within a table are ignored, but for that of writable ones.
    pair.driver.set_raw(kvm::Gpa(table), {table, 16, std::uint16_t(indirect | next), 9});
    EXPECT_EQ(attempt(table, 16), -1);
    pair.driver.set_raw(kvm::Gpa(table), {table, 16, to_write, 9});
    EXPECT_EQ(attempt(table, 32), EINVAL);  // a readable after it
}

TEST(VirtioHostilePacked, has_a_table_within_a_chain) {
    QueuePair pair(feature::ring_packed | feature::indirect_desc);
    pair.driver.set_raw(pair.driver.slot(1),
                        {0x80000, 16, std::uint16_t(indirect | QueueDriver::available), 0});
    pair.driver.set_raw(pair.driver.slot(0),
                        {0, 1, std::uint16_t(next | QueueDriver::available), 0});
    EXPECT_EQ(code(pair.lie()), EINVAL);
}

TEST(VirtioHostilePacked, wants_events_at_places_that_there_are_not) {
    QueuePair pair(feature::ring_packed | feature::event_idx, 5);
    for (const std::uint32_t event : {5u, 0x7fffu, 0x8005u, 0xffffu}) {
        for (const std::uint32_t flags : {0u, 2u, 3u, 0xfffeu}) {
            must(pair.memory.write(pair.driver.config().driver, flags << 16 | event));
            ASSERT_TRUE(pair.driver.offer({{0_gpa, 1}}, {}));
            pair.queue.push(*pair.pop(), 0);
            EXPECT_TRUE(pair.queue.needs_interrupt());  // it gets too many rather than too few
            ASSERT_TRUE(pair.driver.take());
        }
    }
}

class VirtioHostile : public VirtioQueue {};
INSTANTIATE_TEST_SUITE_P(Features, VirtioHostile, ::testing::ValuesIn(all_features()),
                         feature_names);

TEST_P(VirtioHostile, refuses_a_readable_buffer_after_a_writable) {
    ASSERT_TRUE(driver.offer({some, some}, {}));
    Raw first = driver.raw(driver.slot(0));
    first.flags |= to_write;
    driver.set_raw(driver.slot(0), first);
    EXPECT_EQ(message(lie()), "virtio queue: a readable buffer after a writable one");
}

TEST_P(VirtioHostile, gives_buffers_that_are_not_memory_as_they_are) {
    for (const Buffer bad : {Buffer{kvm::Gpa(hole - 1), 2}, Buffer{kvm::Gpa(~0ull), 0xffffffff},
                             Buffer{kvm::Gpa(0), 0xffffffff}, Buffer{kvm::Gpa(hole), 0}}) {
        ASSERT_TRUE(driver.offer({bad}, {bad}));
        const auto chain = pop();
        ASSERT_TRUE(chain);
        EXPECT_EQ(chain->readable, std::vector{bad});
        EXPECT_EQ(chain->writable_bytes(), bad.length);
        std::array<std::byte, 2> data{};
        const bool begins_well = bad.address == kvm::Gpa(0);
        EXPECT_EQ(read(memory, chain->readable, 0, data).has_value(), begins_well);
        queue.push(*chain, bad.length);
        EXPECT_EQ(driver.take()->length, bad.length);
    }
}

/// The driver writes anything anywhere in its rings while the device works.
TEST_P(VirtioHostile, survives_a_driver_that_scribbles_while_it_works) {
    std::atomic<bool> done = false;
    std::thread scribbler([&] {
        std::mt19937_64 random(GetParam());
        const std::uint64_t span = driver.table(0) - driver.config().descriptors + 64;
        while (!done.load(std::memory_order_relaxed)) {
            const kvm::Gpa at = driver.config().descriptors + random() % (span / 2) * 2;
            const auto mask = random() % 2 ? 0xffffu : 0x8087u;
            (void)memory.write(at, static_cast<std::uint16_t>(random() & mask));
        }
    });
    int popped = 0, refused = 0;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (popped + refused < 2000 && std::chrono::steady_clock::now() < deadline) {
        Chain chain;
        const auto there = queue.pop(chain);
        if (!there) {
            ++refused;
            const auto state = queue.state();  // another life, somewhere else in the ring
            queue = must(Queue::create(memory, driver.config(), features,
                                       {.next_available = state.next_used,
                                        .next_used = state.next_used,
                                        .available_wrap = state.used_wrap,
                                        .used_wrap = state.used_wrap}));
            continue;
        }
        if (*there) {
            ++popped;
            ASSERT_LE(chain.readable.size() + chain.writable.size(), Queue::max_indirect);
            std::array<std::byte, 16> bytes{};
            (void)read(memory, chain.readable, 0, bytes);
            queue.push(chain, 1);
        }
        queue.needs_interrupt();
        queue.enable_notifications();
        queue.disable_notifications();
    }
    done = true;
    scribbler.join();
    EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace vmm::test
