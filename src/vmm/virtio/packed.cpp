// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/try.hpp>
#include <vmm/virtio/queue.hpp>
#include <vmm/virtio/ring.hpp>

// The packed ring: virtio 1.2, 2.8. A descriptor's length, id and flags are one word of 8 bytes,
// which is loaded and stored at once: flags come with what they are the flags of.
namespace vmm::virtio {

namespace {

bool marked_available(std::uint64_t rest, bool wrap) {
    const auto flags = static_cast<std::uint16_t>(rest >> 48);
    return bool(flags & ring::is_available) == wrap && bool(flags & ring::is_used) != wrap;
}

}  // namespace

/// Whether the next chain is there already.
bool Queue::available() const {
    if (!packed()) {
        return ring::load<std::uint16_t>(driver_ + 2, __ATOMIC_ACQUIRE) != state_.next_available;
    }
    const std::byte* slot = descriptors_ + ring::descriptor_size * state_.next_available;
    return marked_available(ring::load<std::uint64_t>(slot + 8, __ATOMIC_ACQUIRE),
                            state_.available_wrap);
}

/// Follows the chain that begins at the next slot, of which `rest`, all but the address, was read.
[[gnu::always_inline]] inline Result<void> Queue::collect_packed(Chain& chain,
                                                                 std::uint64_t rest) const {
    const std::uint32_t free = config_.size - in_flight();
    std::uint32_t slot = state_.next_available;
    for (; chain.slots < free;
         rest = ring::load<std::uint64_t>(descriptors_ + ring::descriptor_size * slot + 8)) {
        const auto address = ring::load<std::uint64_t>(descriptors_ + ring::descriptor_size * slot);
        const auto descriptor = ring::Descriptor::packed(address, rest);
        ++chain.slots;
        chain.id = descriptor.other;
        if (descriptor.flags & ring::indirect) {
            if (chain.slots > 1 || descriptor.flags & ring::next) {
                return ring::broken("an indirect table in a chain of others", EINVAL);
            }
            return collect_packed_table(chain, descriptor.buffer.address, descriptor.buffer.length);
        }
        if (!ring::append(chain, descriptor)) [[unlikely]] {
            return ring::misordered();
        }
        if (!(descriptor.flags & ring::next)) {
            return {};
        }
        slot = slot + 1 == config_.size ? 0 : slot + 1;
    }
    return free == 0 ? ring::broken("a slot that is in use was made available", EINVAL)
                     : ring::too_long(free);
}

Result<bool> Queue::pop_packed(Chain& chain) {
    const std::byte* slot = descriptors_ + ring::descriptor_size * state_.next_available;
    const auto first = ring::load<std::uint64_t>(slot + 8, __ATOMIC_ACQUIRE);
    if (!marked_available(first, state_.available_wrap)) {
        return false;
    }
    chain.slots = 0;
    chain.readable.clear();
    chain.writable.clear();
    if (auto done = collect_packed(chain, first); !done) [[unlikely]] {
        return std::unexpected(std::move(done).error());
    }
    std::uint32_t next = state_.next_available + chain.slots;
    if (next >= config_.size) {
        next -= config_.size;
        state_.available_wrap = !state_.available_wrap;
    }
    state_.next_available = static_cast<std::uint16_t>(next);
    return true;
}

/// A chain in a table of its own: all of it, one after the other. Flags but write_only are ignored.
Result<void> Queue::collect_packed_table(Chain& chain, kvm::Gpa address,
                                         std::uint32_t length) const {
    const auto table = KVM_TRY(indirect_table(address, length));
    if (table.size() / ring::descriptor_size > longest_table()) {
        return ring::too_long(longest_table());
    }
    for (std::size_t at = 0; at < table.size(); at += ring::descriptor_size) {
        const auto descriptor =
            ring::Descriptor::packed(ring::load_table(table, at), ring::load_table(table, at + 8));
        if (!ring::append(chain, descriptor)) [[unlikely]] {
            return ring::misordered();
        }
    }
    return {};
}

void Queue::push_packed(std::span<const Used> chains) {
    std::uint64_t first_offset = 0, first_rest = 0;
    for (const Used& chain : chains) {
        const std::uint64_t offset = ring::descriptor_size * state_.next_used + 8;
        const unsigned flags = (state_.used_wrap ? ring::is_available | ring::is_used : 0) |
                               (chain.written > 0 ? ring::write_only : 0);
        const std::uint64_t rest =
            std::uint64_t(flags) << 48 | std::uint64_t(chain.id) << 32 | chain.written;
        if (&chain == chains.data()) {
            first_offset = offset;  // last, for the driver looks at it first
            first_rest = rest;
        } else {
            ring::store<std::uint64_t>(descriptors_ + offset, rest);
        }
        memory_->mark_dirty(config_.descriptors + offset, 8);
        std::uint32_t next = state_.next_used + chain.slots;
        if (next >= config_.size) {
            next -= config_.size;
            state_.used_wrap = !state_.used_wrap;
        }
        state_.next_used = static_cast<std::uint16_t>(next);
        state_.unsignalled += chain.slots;
    }
    if (!chains.empty()) {
        ring::store<std::uint64_t>(descriptors_ + first_offset, first_rest, __ATOMIC_RELEASE);
    }
}

}  // namespace vmm::virtio
