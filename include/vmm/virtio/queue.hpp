// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/types.hpp>
#include <span>
#include <variant>
#include <vmm/memory/guest_memory.hpp>
#include <vmm/virtio/chain.hpp>

namespace vmm::virtio {

/// Features of the rings and of transports. virtio 1.2, chapter 6.
namespace feature {
inline constexpr std::uint64_t indirect_desc = std::uint64_t(1) << 28;
inline constexpr std::uint64_t event_idx = std::uint64_t(1) << 29;
inline constexpr std::uint64_t version_1 = std::uint64_t(1) << 32;
inline constexpr std::uint64_t ring_packed = std::uint64_t(1) << 34;
inline constexpr std::uint64_t in_order = std::uint64_t(1) << 35;
/// All that Queue has.
inline constexpr std::uint64_t rings =
    indirect_desc | event_idx | version_1 | ring_packed | in_order;
}  // namespace feature

/// Where a driver has put a queue's three areas: of a split one the descriptor table, the available
/// ring and the used ring; of a packed one the descriptor ring, the driver's and the device's event
/// suppression. virtio 1.2, 2.6.
struct QueueConfig {
    std::uint16_t size = 0;  ///< in descriptors: a power of two if split
    kvm::Gpa descriptors{};
    kvm::Gpa driver{};
    kvm::Gpa device{};

    friend bool operator==(const QueueConfig&, const QueueConfig&) = default;
};

/// How far a queue's device has come: plain data, by which a queue goes on elsewhere.
struct QueueState {
    std::uint16_t next_available = 0;  ///< split: the index; packed: the slot
    std::uint16_t next_used = 0;
    bool available_wrap = true;  ///< packed: the wrap counters
    bool used_wrap = true;
    /// What was pushed since needs_interrupt() was last asked; split: chains, packed: slots.
    std::uint64_t unsignalled = 0;

    friend bool operator==(const QueueState&, const QueueState&) = default;
};

/// A chain on its way back: see Queue::push().
struct Used {
    std::uint16_t id = 0;
    std::uint16_t slots = 0;
    std::uint32_t written = 0;
};

/// The device's side of a virtqueue, split or packed: virtio 1.2, 2.7 and 2.8. The driver is
/// hostile and may change the rings at any time: each word of them is read once, and checked. An
/// Error means that the driver broke the rules, and the queue is of no use any more:
/// Host::disable(). Its text says what is wrong.
///
/// Used on its device's reactor. The memory must outlive it. The three areas are looked up once:
/// when their region is removed, the rings are zeroes until GuestMemory::reclaim(), which must wait
/// for the queue's end.
class Queue {
public:
    static constexpr std::uint16_t max_size = 32768;
    /// How many buffers a chain may have that is in an indirect table: as many, or the queue's size
    /// if that is more. Linux has longer chains than its queue is when it chose a short one.
    static constexpr std::uint32_t max_indirect = 1024;

    /// A queue as a driver has set it up, where `features` were agreed upon. It goes on at
    /// `state`. Errors: EINVAL (a size of 0, too many or, split, no power of two; areas that are
    /// not aligned; a state that cannot be), EFAULT (areas that are not RAM, or not in one region),
    /// EROFS (areas that are read-only).
    static Result<Queue> create(const GuestMemory& memory, const QueueConfig& config,
                                std::uint64_t features, const QueueState& state = {});

    /// Takes the next chain that the driver made available; false if there is none. `chain` is
    /// overwritten, its vectors' memory reused. Its buffers are not looked at: whether they are RAM
    /// is found when they are used. At most as many chains as the queue has descriptors are out.
    /// Errors: ELOOP (a chain that is too long), EINVAL (an index outside, more available than
    /// there can be, an indirect table that is odd, empty, within another or not agreed upon, a
    /// readable buffer after a writable), EFAULT (an indirect table that is not in RAM, or not in
    /// one region).
    Result<bool> pop(Chain& chain) { return packed() ? pop_packed(chain) : pop_split(chain); }
    /// Gives a chain back, with `written` bytes of its writable buffers used. With in_order in the
    /// order of pop().
    void push(const Chain& chain, std::uint32_t written) {
        const Used used{chain.id, chain.slots, written};
        push(std::span(&used, 1));
    }
    /// Gives several back, which the driver sees all at once: of a frame in more than one chain.
    void push(std::span<const Used> chains) {
        return packed() ? push_packed(chains) : push_split(chains);
    }
    /// Gives the last chain that was popped back to the driver unseen: it will be popped again.
    void undo_pop(const Chain& chain);

    /// Whether the driver wants an interrupt for what was pushed since this was last asked: once,
    /// after a batch.
    bool needs_interrupt();
    /// The driver need not notify while the device looks by itself.
    void disable_notifications();
    /// It must again. True if something was made available meanwhile: then pop() once more, for
    /// there was no notification of it.
    bool enable_notifications();

    const QueueConfig& config() const { return config_; }
    const QueueState& state() const { return state_; }

private:
    Queue(const GuestMemory& memory, const QueueConfig& config, std::uint64_t features,
          const QueueState& state)
        : memory_(&memory), config_(config), features_(features), state_(state),
          available_seen_(state.next_available) {}

    bool has(std::uint64_t feature) const { return (features_ & feature) != 0; }
    bool packed() const { return has(feature::ring_packed); }
    std::uint32_t in_flight() const;
    std::uint32_t longest_table() const;
    Result<std::span<const std::byte>> indirect_table(kvm::Gpa address, std::uint32_t length) const;

    Result<bool> pop_split(Chain& chain);
    Result<void> collect_split(Chain& chain) const;
    Result<void> collect_split_table(Chain& chain, kvm::Gpa address, std::uint32_t length,
                                     std::uint32_t before) const;
    void push_split(std::span<const Used> chains);
    Result<bool> pop_packed(Chain& chain);
    Result<void> collect_packed(Chain& chain, std::uint64_t first) const;
    Result<void> collect_packed_table(Chain& chain, kvm::Gpa address, std::uint32_t length) const;
    void push_packed(std::span<const Used> chains);
    bool crosses_event(std::uint32_t event, std::uint64_t pushed) const;
    bool available() const;

    const GuestMemory* memory_;
    QueueConfig config_;
    std::uint64_t features_;
    QueueState state_;
    std::uint16_t available_seen_;  // split: the driver's index, as it was last read
    std::byte* descriptors_ = nullptr;
    std::byte* driver_ = nullptr;
    std::byte* device_ = nullptr;
};

}  // namespace vmm::virtio
