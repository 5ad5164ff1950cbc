// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <poll.h>

#include <map>
#include <random>
#include <thread>
#include <vmm/virtio_queue_fixture.hpp>

namespace vmm::test {
namespace {

// What a driver and a device do together, at random, and what they tell each other.

/// What the `n`-th byte of the `serial`-th request or answer is.
std::byte pattern(std::uint64_t serial, std::uint64_t n) {
    return std::byte((serial * 0x9e3779b9 + n * 31) >> 3 & 0xff);
}

class VirtioQueueRandom : public VirtioQueue {
protected:
    struct Sent {
        std::uint64_t serial;
        std::vector<Buffer> readable, writable;
        std::uint64_t place;
        std::uint32_t answered = 0;
    };

    std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

    /// Buffers of random lengths from `at` on.
    std::vector<Buffer> buffers(std::uint64_t count, std::uint64_t& at) {
        std::vector<Buffer> made;
        for (; count > 0; --count) {
            const auto length = static_cast<std::uint32_t>(below(8) ? below(100) : below(700));
            made.push_back({kvm::Gpa(at), length});
            at += length;
        }
        return made;
    }
    std::vector<std::byte> text(std::uint64_t serial, std::uint64_t size) {
        std::vector<std::byte> bytes(size);
        for (std::uint64_t i = 0; i < size; ++i) {
            bytes[i] = pattern(serial, i);
        }
        return bytes;
    }

    void driver_offers() {
        const std::uint64_t place = next_place_++ % 32;
        if (std::ranges::any_of(sent_, [&](auto& s) { return s.second.place == place; })) {
            return;
        }
        std::uint64_t at = 0x80000 + place * 0x4000;
        const std::uint64_t out = below(5);
        Sent sent{serial_, buffers(out, at), {}, place};
        sent.writable = buffers(below(4) + (out == 0 ? 1 : 0), at);
        const auto layout = has(feature::indirect_desc) && below(2) ? QueueDriver::Layout::indirect
                                                                    : QueueDriver::Layout::direct;
        Chain sizes;
        sizes.readable = sent.readable;
        must(write(memory, sent.readable, 0, text(serial_, sizes.readable_bytes())));
        const auto id = driver.offer(sent.readable, sent.writable, layout);
        if (!id) {
            return;
        }
        ASSERT_FALSE(sent_.contains(*id));
        sent_[*id] = std::move(sent);
        order_.push_back(serial_++);
        if (below(2)) {
            driver_notifies();
        }
    }
    void driver_notifies() {
        if (driver.outstanding() == 0) {
            return;
        }
        const bool wanted = driver.must_notify();
        if (wanted) {
            ++notifications_;
            device_waits_ = false;
        }
    }
    void device_pops() {
        device_waits_ = false;  // it looks by itself
        auto chain = pop();
        if (!chain) {
            ASSERT_TRUE(order_.empty());
            return;
        }
        ASSERT_FALSE(order_.empty());
        if (below(10) == 0) {
            queue.undo_pop(*chain);
            chain = pop();
            ASSERT_TRUE(chain);
        }
        const Sent& sent = sent_.at(chain->id);
        ASSERT_EQ(sent.serial, order_.front());
        order_.erase(order_.begin());
        ASSERT_EQ(chain->readable, sent.readable);
        ASSERT_EQ(chain->writable, sent.writable);
        std::vector<std::byte> bytes(chain->readable_bytes());
        must(read(memory, chain->readable, 0, bytes));
        ASSERT_EQ(bytes, text(sent.serial, bytes.size()));
        taken_.push_back(std::move(*chain));
    }
    void device_pushes() {
        if (taken_.empty()) {
            return;
        }
        const auto which =
            taken_.begin() + std::ptrdiff_t(has(feature::in_order) ? 0 : below(taken_.size()));
        Sent& sent = sent_.at(which->id);
        sent.answered = static_cast<std::uint32_t>(below(which->writable_bytes() + 1));
        must(write(memory, which->writable, 0, text(sent.serial + 1, sent.answered)));
        queue.push(*which, sent.answered);
        taken_.erase(which);
        if (below(2)) {
            device_interrupts();
        }
    }
    void device_interrupts() {
        const bool wanted = queue.needs_interrupt();
        if (driver_waits_ && driver.has_used()) {
            ASSERT_TRUE(wanted);
        }
        if (!driver_wants_) {
            ASSERT_FALSE(wanted);
        }
        driver_waits_ = driver_waits_ && !wanted;
        if (wanted && has(feature::event_idx)) {
            driver_wants_ = false;  // until it says so again
        }
    }
    void driver_takes() {
        while (const auto used = driver.take()) {
            const auto found = sent_.find(used->id);
            ASSERT_NE(found, sent_.end());
            const Sent& sent = found->second;
            ASSERT_EQ(used->length, sent.answered);
            std::vector<std::byte> bytes(sent.answered);
            must(read(memory, sent.writable, 0, bytes));
            ASSERT_EQ(bytes, text(sent.serial + 1, bytes.size()));
            sent_.erase(found);
            ++came_back_;
        }
    }

    std::mt19937_64 random_{GetParam()};
    std::map<std::uint16_t, Sent> sent_;  // by id
    std::vector<std::uint64_t> order_;    // serials that the device has not popped
    std::vector<Chain> taken_;
    std::uint64_t serial_ = 0, next_place_ = 0, came_back_ = 0, notifications_ = 0;
    bool device_waits_ = false;
    bool driver_waits_ = false, driver_wants_ = true;
};

INSTANTIATE_TEST_SUITE_P(Features, VirtioQueueRandom, ::testing::ValuesIn(all_features()),
                         feature_names);

TEST_P(VirtioQueueRandom, loses_no_chain_no_byte_and_no_event) {
    for (int step = 0; step < 30000 && !HasFatalFailure(); ++step) {
        switch (below(8)) {
            case 0:
            case 1:
                driver_offers();
                break;
            case 2:
            case 3:
                device_pops();
                break;
            case 4:
            case 5:
                device_pushes();
                break;
            case 6:
                driver_takes();
                if (below(2)) {
                    device_interrupts();  // for what was pushed before the driver waits
                    driver_waits_ = !driver.enable_interrupts();
                    driver_wants_ = true;
                } else {
                    device_interrupts();
                    driver.disable_interrupts();
                    driver_waits_ = driver_wants_ = false;
                }
                break;
            default:
                queue = again();
        }
    }
    EXPECT_GT(came_back_, 2000u);
}

/// A semaphore that another thread waits for, and how often it was signalled.
class Bell {
public:
    void ring() {
        ++rings_;
        must(event_.write());
    }
    bool wait() {
        pollfd ready{kvm::FdRef(event_).number(), POLLIN, 0};
        if (::poll(&ready, 1, 20000) != 1) {
            return false;
        }
        (void)event_.read();
        return true;
    }
    std::uint64_t rings() const { return rings_; }

private:
    kvm::EventFd event_ = must(kvm::EventFd::create(0, kvm::EventFdFlag::nonblock));
    std::atomic<std::uint64_t> rings_ = 0;
};

class VirtioQueueThreads : public VirtioQueue {};

/// The device in a thread of its own: it works until all is done or nothing comes.
TEST_P(VirtioQueueThreads, stalls_never_between_two_threads) {
    constexpr std::uint64_t total = sanitized ? 10000 : 65536;
    Bell kick, call;
    std::uint64_t device_slept = 0, driver_slept = 0;
    std::thread device([&] {
        Chain chain;
        for (std::uint64_t done = 0; done < total;) {
            queue.disable_notifications();
            bool pushed = false;
            while (must(queue.pop(chain))) {
                queue.push(chain, 0);
                pushed = true;
                ++done;
            }
            if (pushed && queue.needs_interrupt()) {
                call.ring();
            }
            if (done < total && !queue.enable_notifications()) {
                ++device_slept;
                if (!kick.wait()) {
                    ADD_FAILURE() << "the device waits for ever, after " << done;
                    return;
                }
            }
        }
    });
    std::uint64_t offered = 0, came_back = 0;
    std::mt19937_64 random(GetParam());
    while (came_back < total) {
        driver.disable_interrupts();
        for (auto burst = 1 + random() % 20; burst > 0 && offered < total; --burst) {
            const auto layout = has(feature::indirect_desc) && random() % 2
                                    ? QueueDriver::Layout::indirect
                                    : QueueDriver::Layout::direct;
            const bool there = random() % 2 ? driver.offer({some}, {other}, layout).has_value()
                                            : driver.offer({some}, {}, layout).has_value();
            if (!there) {
                break;
            }
            ++offered;
        }
        if (driver.must_notify()) {
            kick.ring();
        }
        while (driver.take()) {
            ++came_back;
        }
        const bool waits = driver.outstanding() > 0 && (random() % 2 || offered == total);
        if (waits && !driver.enable_interrupts()) {
            ++driver_slept;
            if (!call.wait()) {
                ADD_FAILURE() << "the driver waits for ever, after " << came_back;
                break;
            }
        }
    }
    device.join();
    EXPECT_EQ(came_back, total);
    if (has(feature::event_idx)) {
        // Each is for somebody who was about to sleep.
        EXPECT_LE(kick.rings(), device_slept + total / 100);
        EXPECT_LE(call.rings(), driver_slept + total / 100);
    }
}

INSTANTIATE_TEST_SUITE_P(Features, VirtioQueueThreads, ::testing::ValuesIn(all_features()),
                         feature_names);

}  // namespace
}  // namespace vmm::test
