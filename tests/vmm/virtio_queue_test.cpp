// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/virtio_queue_fixture.hpp>

namespace vmm::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Features, VirtioQueue, ::testing::ValuesIn(all_features()), feature_names);

class VirtioQueueEvents : public VirtioQueue {};
INSTANTIATE_TEST_SUITE_P(Features, VirtioQueueEvents,
                         ::testing::ValuesIn(all_features(feature::event_idx)), feature_names);

TEST_P(VirtioQueue, gives_a_chain_as_it_was_offered) {
    const Buffer third{kvm::Gpa(0x90000), 0};
    const auto id = driver.offer({some, other}, {third});
    const auto chain = pop();
    ASSERT_TRUE(id && chain);
    EXPECT_EQ(chain->id, *id);
    EXPECT_EQ(chain->slots, packed() ? 3 : 1);
    EXPECT_EQ(chain->readable, (std::vector{some, other}));
    EXPECT_EQ(chain->writable, std::vector{third});
    EXPECT_EQ(chain->readable_bytes(), 96u);
    EXPECT_EQ(chain->writable_bytes(), 0u);
    EXPECT_FALSE(pop());
    queue.push(*chain, 7);
    EXPECT_EQ(driver.take(), (QueueDriver::Used{*id, 7}));
    EXPECT_FALSE(driver.take());
}

TEST_P(VirtioQueue, follows_an_indirect_table) {
    const auto id = driver.offer({some, other}, {some}, QueueDriver::Layout::indirect);
    ASSERT_TRUE(id);
    if (!has(feature::indirect_desc)) {
        EXPECT_EQ(message(lie()), "virtio queue: an indirect table, which was not agreed upon");
        return;
    }
    const auto chain = pop();
    ASSERT_TRUE(chain);
    EXPECT_EQ(chain->slots, 1);
    EXPECT_EQ(chain->readable, (std::vector{some, other}));
    EXPECT_EQ(chain->writable, std::vector{some});
    queue.push(*chain, 64);
    EXPECT_EQ(driver.take(), (QueueDriver::Used{*id, 64}));
}

TEST_P(VirtioQueue, holds_as_much_as_there_are_descriptors) {
    for (int lap = 0; lap < 3; ++lap) {
        std::vector<std::uint16_t> ids;
        while (const auto id = driver.offer({some}, {})) {
            ids.push_back(*id);
        }
        EXPECT_EQ(ids.size(), 16u);
        std::vector<Chain> chains;
        while (auto chain = pop()) {
            chains.push_back(std::move(*chain));
        }
        ASSERT_EQ(chains.size(), 16u);
        if (!has(feature::in_order)) {
            std::ranges::reverse(chains);
            std::ranges::reverse(ids);
        }
        for (std::size_t i = 0; i < chains.size(); ++i) {
            queue.push(chains[i], 0);
            EXPECT_EQ(driver.take(), (QueueDriver::Used{ids[i], 0}));
        }
    }
}

TEST_P(VirtioQueue, pops_again_what_was_given_back_unseen) {
    for (int i = 0; i < 50; ++i) {
        ASSERT_TRUE(driver.offer({some, some}, {other}));
        const auto first = pop();
        ASSERT_TRUE(first);
        const QueueState after = queue.state();
        queue.undo_pop(*first);
        const auto second = pop();
        ASSERT_TRUE(second);
        EXPECT_EQ(second->id, first->id);
        EXPECT_EQ(second->readable, first->readable);
        EXPECT_EQ(queue.state(), after);
        queue.push(*second, 0);
        EXPECT_TRUE(driver.take());
    }
}

TEST_P(VirtioQueue, goes_on_elsewhere_from_its_state) {
    for (int i = 0; i < 50; ++i) {
        run(1);
        ASSERT_TRUE(driver.offer({some}, {other, other}));
        const auto chain = pop();
        ASSERT_TRUE(chain);
        queue = again();  // with a chain under way, and an interrupt not yet asked for
        queue.push(*chain, 1);
        EXPECT_EQ(queue.needs_interrupt(), true);
        ASSERT_TRUE(driver.take());
        driver.enable_interrupts();
    }
}

TEST_P(VirtioQueue, refuses_a_state_that_cannot_be) {
    QueueState state{.next_available = 17, .next_used = 0};
    EXPECT_EQ(code(Queue::create(memory, driver.config(), features, state)), EINVAL);
    state = {.next_available = 2, .next_used = 5};  // more used than made available
    EXPECT_EQ(code(Queue::create(memory, driver.config(), features, state)), EINVAL);
    state = {.next_available = 5, .next_used = 2, .used_wrap = false};
    EXPECT_EQ(code(Queue::create(memory, driver.config(), features, state)),
              packed() ? EINVAL : -1);
}

TEST_P(VirtioQueue, interrupts_once_for_a_batch_and_never_for_nothing) {
    EXPECT_FALSE(queue.needs_interrupt());
    for (int i = 0; i < 5; ++i) {
        ASSERT_TRUE(driver.offer({some}, {}));
        queue.push(*pop(), 0);
    }
    EXPECT_TRUE(queue.needs_interrupt());
    EXPECT_FALSE(queue.needs_interrupt());
}

TEST_P(VirtioQueue, does_not_interrupt_a_driver_that_looks_by_itself) {
    run(37);
    queue.needs_interrupt();
    driver.disable_interrupts();
    run(100);
    EXPECT_FALSE(queue.needs_interrupt());
    EXPECT_FALSE(driver.enable_interrupts());
    run(1);
    EXPECT_TRUE(queue.needs_interrupt());
}

TEST_P(VirtioQueueEvents, interrupts_when_as_many_are_used_as_the_driver_waits_for) {
    for (std::uint32_t count = 1; count < 16; ++count) {
        for (int i = 0; i < 16; ++i) {  // from every slot
            driver.interrupt_after(count);
            for (std::uint32_t n = 1; n <= count; ++n) {
                ASSERT_TRUE(driver.offer({some}, {}));
                queue.push(*pop(), 0);
                ASSERT_EQ(queue.needs_interrupt(), n == count) << n << " of " << count;
                ASSERT_TRUE(driver.take());
            }
            ASSERT_TRUE(driver.offer({some}, {}));
            queue.push(*pop(), 0);
            ASSERT_FALSE(queue.needs_interrupt());  // it did not ask for this one
            ASSERT_TRUE(driver.take());
        }
    }
}

TEST_P(VirtioQueue, interrupts_a_driver_whose_wish_is_many_laps_old) {
    driver.enable_interrupts();
    run(1);
    EXPECT_TRUE(queue.needs_interrupt());
    driver.enable_interrupts();
    for (const int count : {16, 32, 33, 65535, 65536, 65537, 70000}) {
        run(count);
        EXPECT_TRUE(queue.needs_interrupt()) << count;
        driver.enable_interrupts();
    }
}

TEST_P(VirtioQueue, is_notified_when_it_waits_and_only_then) {
    for (int i = 0; i < 100; ++i) {
        EXPECT_FALSE(queue.enable_notifications());
        ASSERT_TRUE(driver.offer({some}, {}));
        EXPECT_TRUE(driver.must_notify());
        queue.disable_notifications();
        ASSERT_TRUE(driver.offer({some}, {}));
        EXPECT_FALSE(driver.must_notify());
        EXPECT_TRUE(queue.enable_notifications());
        queue.disable_notifications();
        for (int n = 0; n < 2; ++n) {
            queue.push(*pop(), 0);
            ASSERT_TRUE(driver.take());
        }
        EXPECT_FALSE(pop());
    }
}

TEST_P(VirtioQueue, tells_which_pages_it_writes) {
    must(memory.start_dirty_tracking());
    ASSERT_TRUE(driver.offer({some}, {other}));
    const auto chain = pop();
    must(memory.collect_dirty());
    EXPECT_FALSE(pop());
    for (const DirtyPages& pages : must(memory.collect_dirty())) {
        EXPECT_EQ(pages.count(), 0u);
    }
    queue.push(*chain, 1);
    const auto pages = must(memory.collect_dirty());
    ASSERT_EQ(pages[0].ranges().size(), 1u);
    EXPECT_EQ(pages[0].ranges()[0], (GuestRange{kvm::Gpa(0x1000), 4096}));
    queue.disable_notifications();
    queue.enable_notifications();
    EXPECT_EQ(must(memory.collect_dirty())[0].count(), 1u);
}

TEST(VirtioQueueSizes, are_powers_of_two_of_a_split_ring_and_anything_of_a_packed_one) {
    for (const std::uint64_t ring : {std::uint64_t(0), feature::ring_packed}) {
        const GuestMemory memory = make({{0_gpa, 4 << 20}});
        for (const unsigned size :
             {0u, 1u, 2u, 3u, 5u, 256u, 1000u, 32767u, 32768u, 32769u, 65535u}) {
            const QueueConfig config{static_cast<std::uint16_t>(size), 0_gpa, 0x100000_gpa,
                                     0x200000_gpa};
            const bool right =
                size > 0 && size <= 32768 && (ring != 0 || std::has_single_bit(size));
            EXPECT_EQ(code(Queue::create(memory, config, ring)), right ? -1 : EINVAL) << size;
        }
    }
}

TEST(VirtioQueueSizes, all_work_from_the_least_to_the_most) {
    for (const std::uint64_t features : all_features()) {
        for (const auto size : std::initializer_list<std::uint16_t>{1, 2, 1024}) {
            QueuePair pair(features, size);
            for (int i = 0; i < 2 * size + 1; ++i) {
                ASSERT_TRUE(pair.driver.offer({{0x80000_gpa, 1}}, {}));
                const auto chain = pair.pop();
                ASSERT_TRUE(chain);
                pair.queue.push(*chain, 0);
                ASSERT_TRUE(pair.driver.take());
                ASSERT_FALSE(pair.driver.has_used());
            }
        }
    }
}

}  // namespace
}  // namespace vmm::test
