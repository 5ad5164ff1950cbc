// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/virtio/queue.hpp>
#include <vmm/virtio/ring.hpp>

// The split ring: virtio 1.2, 2.7.
namespace vmm::virtio {

namespace {

constexpr std::size_t index_at = 2, ring_at = 4;  // of the available and of the used ring

[[gnu::cold]] std::unexpected<Error> outside(std::uint32_t index, std::uint64_t count) {
    return fail(fmt::format("virtio queue: descriptor {} of a table of {}", index, count), EINVAL);
}

[[gnu::cold]] std::unexpected<Error> jumped(std::uint16_t from, std::uint16_t to) {
    return fail(
        fmt::format("virtio queue: the available ring's index went from {} to {}", from, to),
        EINVAL);
}

}  // namespace

/// Follows the chain that begins at chain.id.
[[gnu::always_inline]] inline Result<void> Queue::collect_split(Chain& chain) const {
    std::uint32_t index = chain.id;
    for (std::uint32_t count = 0; count < config_.size; ++count) {
        if (index >= config_.size) [[unlikely]] {
            return outside(index, config_.size);
        }
        const std::byte* word = descriptors_ + ring::descriptor_size * index;
        const auto descriptor = ring::Descriptor::split(ring::load<std::uint64_t>(word),
                                                        ring::load<std::uint64_t>(word + 8));
        if (descriptor.flags & ring::indirect) {
            if (descriptor.flags & ring::next) {
                return ring::broken("an indirect table that is not the last of its chain", EINVAL);
            }
            return collect_split_table(chain, descriptor.buffer.address, descriptor.buffer.length,
                                       count);
        }
        if (!ring::append(chain, descriptor)) [[unlikely]] {
            return ring::misordered();
        }
        if (!(descriptor.flags & ring::next)) {
            return {};
        }
        index = descriptor.other;
    }
    return ring::too_long(config_.size);
}

Result<bool> Queue::pop_split(Chain& chain) {
    const std::uint16_t at = state_.next_available;
    if (at == available_seen_) {
        const auto index = ring::load<std::uint16_t>(driver_ + index_at, __ATOMIC_ACQUIRE);
        const std::uint32_t fresh = static_cast<std::uint16_t>(index - at);
        if (fresh == 0) {
            return false;
        }
        if (fresh > config_.size - in_flight()) [[unlikely]] {
            return jumped(at, index);
        }
        available_seen_ = index;
    }
    const std::uint32_t slot = at & (config_.size - 1u);
    chain.id = ring::load<std::uint16_t>(driver_ + ring_at + 2 * slot);
    chain.slots = 1;
    chain.readable.clear();
    chain.writable.clear();
    if (auto done = collect_split(chain); !done) [[unlikely]] {
        return std::unexpected(std::move(done).error());
    }
    state_.next_available = static_cast<std::uint16_t>(at + 1);
    return true;
}

/// The rest of a chain, in a table of its own, where there are `before` buffers already.
Result<void> Queue::collect_split_table(Chain& chain, kvm::Gpa address, std::uint32_t length,
                                        std::uint32_t before) const {
    const auto table = KVM_TRY(indirect_table(address, length));
    const std::size_t size = table.size() / ring::descriptor_size;
    const std::uint32_t most = longest_table();
    std::uint32_t index = 0;
    for (std::uint32_t count = before; count < most; ++count) {
        if (index >= size) [[unlikely]] {
            return outside(index, size);
        }
        const std::size_t offset = ring::descriptor_size * index;
        const auto descriptor = ring::Descriptor::split(ring::load_table(table, offset),
                                                        ring::load_table(table, offset + 8));
        if (descriptor.flags & ring::indirect) [[unlikely]] {
            return ring::broken("an indirect table within another", EINVAL);
        }
        if (!ring::append(chain, descriptor)) [[unlikely]] {
            return ring::misordered();
        }
        if (!(descriptor.flags & ring::next)) {
            return {};
        }
        index = descriptor.other;
    }
    return ring::too_long(most);
}

void Queue::push_split(std::span<const Used> chains) {
    for (const Used& chain : chains) {
        const std::uint64_t offset = ring_at + 8 * (state_.next_used & (config_.size - 1u));
        ring::store<std::uint32_t>(device_ + offset, chain.id);
        ring::store<std::uint32_t>(device_ + offset + 4, chain.written);
        ++state_.next_used;
        memory_->mark_dirty(config_.device + offset, 8);
    }
    ring::store<std::uint16_t>(device_ + index_at, state_.next_used, __ATOMIC_RELEASE);
    state_.unsignalled += chains.size();
    memory_->mark_dirty(config_.device, ring_at);
}

}  // namespace vmm::virtio
