// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/types.hpp>
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
    std::uint16_t signalled = 0;  ///< next_used when the driver was last interrupted
    bool available_wrap = true;   ///< packed: the wrap counters
    bool used_wrap = true;
    bool signalled_wrap = true;
    bool signalled_valid = false;  ///< nothing was signalled yet: the first time always is

    friend bool operator==(const QueueState&, const QueueState&) = default;
};

/// The device's side of a virtqueue, split or packed: virtio 1.2, 2.7 and 2.8. The driver is
/// hostile and may change the rings at any time: each word of them is read once, and checked.
/// An Error of any method means that the driver broke the rules, and the queue is of no use any
/// more: Host::disable(). Its text says what is wrong, its code is EINVAL, ELOOP or EFAULT.
///
/// Used on its device's reactor. The memory must outlive it.
class Queue {
public:
    static constexpr std::uint16_t max_size = 32768;

    /// A queue as a driver has set it up, where `features` were agreed upon. It goes on at
    /// `state`. Errors: EINVAL (a size of 0, too many or, split, no power of two; areas that are
    /// not aligned), EFAULT (areas that are not RAM, or not in one region).
    static Result<Queue> create(const GuestMemory& memory, const QueueConfig& config,
                                std::uint64_t features, const QueueState& state = {});

    /// Takes the next chain that the driver made available; false if there is none. `chain` is
    /// overwritten, its vectors' memory reused. Its buffers are not looked at: whether they are RAM
    /// is found when they are used. Errors: ELOOP (a chain longer than the queue), EINVAL (an index
    /// outside, more available than there can be, an indirect table that is odd, empty or within
    /// another, a readable buffer after a writable), EFAULT (an indirect table that is not RAM).
    Result<bool> pop(Chain& chain);
    /// Gives a chain back, with `written` bytes of its writable buffers used. With in_order in the
    /// order of pop().
    Result<void> push(const Chain& chain, std::uint32_t written);
    /// Gives the last chain that was popped back to the driver unseen: it will be popped again.
    void undo_pop(const Chain& chain);

    /// Whether the driver wants an interrupt for what was pushed since this was last asked: once,
    /// after a batch.
    Result<bool> needs_interrupt();
    /// The driver need not notify while the device looks by itself.
    Result<void> disable_notifications();
    /// It must again. True if something was made available meanwhile: then pop() once more, for
    /// there was no notification of it.
    Result<bool> enable_notifications();

    const QueueConfig& config() const { return config_; }
    const QueueState& state() const { return state_; }

private:
    Queue(const GuestMemory& memory, const QueueConfig& config, std::uint64_t features,
          const QueueState& state)
        : memory_(&memory), config_(config), features_(features), state_(state) {}

    const GuestMemory* memory_;
    QueueConfig config_;
    std::uint64_t features_;
    QueueState state_;
};

}  // namespace vmm::virtio
