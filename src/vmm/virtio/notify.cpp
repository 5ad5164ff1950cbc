// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <atomic>
#include <utility>
#include <vmm/virtio/queue.hpp>
#include <vmm/virtio/ring.hpp>

// Who has to tell the other side what: virtio 1.2, 2.7.7, 2.7.10 and 2.8.14. Each side publishes
// what it did, then looks whether the other wants to hear of it; and says that it wants to hear,
// then looks whether something was done. The fences are between the two.
namespace vmm::virtio {

namespace {

// Flags of a packed ring's event suppression, the upper half of its word.
constexpr std::uint32_t event_disable = 1, event_at = 2;

// Flags of a split ring: the driver wants no interrupts; the device wants no notifications.
constexpr std::uint16_t unwanted = 1;

}  // namespace

/// Whether the last `pushed` entries (split) or slots (packed) have the driver's event among them.
bool Queue::crosses_event(std::uint32_t event, std::uint64_t pushed) const {
    if (!packed()) {
        return static_cast<std::uint16_t>(state_.next_used - event - 1) < pushed;
    }
    // By places on a ring of two laps, one for each value of the wrap counter.
    const std::uint32_t size = config_.size;
    const std::uint32_t offset = event & 0x7fff;
    if (offset >= size) {
        return true;
    }
    const std::uint32_t place = offset + (event & 0x8000 ? 0 : size);
    const std::uint32_t now = state_.next_used + (state_.used_wrap ? 0 : size);
    return (now > place ? now - place : now + 2 * size - place) - 1 < pushed;
}

bool Queue::needs_interrupt() {
    const std::uint64_t pushed = std::exchange(state_.unsignalled, 0);
    if (pushed == 0) {
        return false;
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (packed()) {
        const auto event = ring::load<std::uint32_t>(driver_);
        const std::uint32_t flags = event >> 16 & 3;
        return flags == event_at && has(feature::event_idx) ? crosses_event(event & 0xffff, pushed)
                                                            : flags != event_disable;
    }
    if (has(feature::event_idx)) {
        return crosses_event(ring::load<std::uint16_t>(driver_ + 4 + 2 * config_.size), pushed);
    }
    return !(ring::load<std::uint16_t>(driver_) & unwanted);
}

void Queue::disable_notifications() {
    if (packed()) {
        ring::store<std::uint32_t>(device_, event_disable << 16);
    } else if (!has(feature::event_idx)) {
        ring::store<std::uint16_t>(device_, unwanted);
    } else {
        return;  // the event is in the past: there are none until it is set anew
    }
    memory_->mark_dirty(config_.device, 4);
}

bool Queue::enable_notifications() {
    const bool at_event = has(feature::event_idx);
    std::uint64_t offset = 0;
    if (packed()) {
        const std::uint32_t next = state_.next_available | (state_.available_wrap ? 0x8000u : 0u);
        ring::store<std::uint32_t>(device_, at_event ? event_at << 16 | next : 0);
    } else if (at_event) {
        offset = 4 + 8 * std::uint64_t(config_.size);
        ring::store<std::uint16_t>(device_ + offset, state_.next_available);
    } else {
        ring::store<std::uint16_t>(device_, 0);
    }
    memory_->mark_dirty(config_.device + offset, 4);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return available();
}

}  // namespace vmm::virtio
