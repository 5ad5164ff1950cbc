// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/memory_fixture.hpp>
#include <vmm/virtio_driver.hpp>

namespace vmm::test {

using namespace virtio;

/// Every set of features that a queue can have; all of `with` are in it.
inline std::vector<std::uint64_t> all_features(std::uint64_t with = 0) {
    std::vector<std::uint64_t> sets;
    for (unsigned bits = 0; bits < 16; ++bits) {
        sets.push_back(feature::version_1 | (bits & 1 ? feature::ring_packed : 0) |
                       (bits & 2 ? feature::event_idx : 0) |
                       (bits & 4 ? feature::indirect_desc : 0) |
                       (bits & 8 ? feature::in_order : 0));
    }
    std::erase_if(sets, [&](std::uint64_t set) { return (set & with) != with; });
    return sets;
}

inline std::string feature_names(const ::testing::TestParamInfo<std::uint64_t>& info) {
    return std::string(info.param & feature::ring_packed ? "packed" : "split") +
           (info.param & feature::event_idx ? "_event_idx" : "") +
           (info.param & feature::indirect_desc ? "_indirect" : "") +
           (info.param & feature::in_order ? "_in_order" : "");
}

/// A queue and its driver, in memory with a hole at `hole` and RAM beyond it.
class QueuePair {
public:
    static constexpr std::uint64_t hole = 1 << 20, beyond = 2 << 20, end = beyond + 0x10000;

    explicit QueuePair(std::uint64_t agreed, std::uint16_t size = 16)
        : features(agreed), driver(memory, kvm::Gpa(0x1000), size, agreed),
          queue(must(Queue::create(memory, driver.config(), agreed))) {}

    bool packed() const { return driver.packed(); }
    bool has(std::uint64_t feature) const { return driver.has(feature); }
    /// A queue that goes on where this one is.
    Queue again() const {
        return must(Queue::create(memory, driver.config(), features, queue.state()));
    }
    std::optional<Chain> pop() {
        Chain chain;
        return must(queue.pop(chain)) ? std::optional(std::move(chain)) : std::nullopt;
    }
    /// What pop() says to a lie.
    Result<bool> lie() {
        Chain chain;
        return queue.pop(chain);
    }

    GuestMemory memory = make({{0_gpa, hole}, {kvm::Gpa(beyond), end - beyond}});
    std::uint64_t features;
    QueueDriver driver;
    Queue queue;
};

/// Runs with each set of features.
class VirtioQueue : public ::testing::TestWithParam<std::uint64_t>, public QueuePair {
protected:
    VirtioQueue() : QueuePair(GetParam()) {}

    /// Buffers of no matter what.
    static constexpr Buffer some{kvm::Gpa(0x80000), 64}, other{kvm::Gpa(0x81000), 32};
    /// `count` chains go to the device and come back.
    void run(int count) {
        for (int i = 0; i < count; ++i) {
            ASSERT_TRUE(driver.offer({some}, {other}));
            const auto chain = pop();
            ASSERT_TRUE(chain);
            queue.push(*chain, 1);
            ASSERT_TRUE(driver.take());
        }
    }
};

}  // namespace vmm::test
