// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <bit>
#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/virtio/queue.hpp>
#include <vmm/virtio/ring.hpp>

namespace vmm::virtio {

namespace ring {

std::unexpected<Error> broken(const char* what, int code) {
    return fail(fmt::format("virtio queue: {}", what), code);
}

std::unexpected<Error> misordered() {
    return broken("a readable buffer after a writable one", EINVAL);
}

std::unexpected<Error> too_long(std::uint32_t most) {
    return fail(fmt::format("virtio queue: a chain of more than {} descriptors", most), ELOOP);
}

}  // namespace ring

namespace {

/// One of a queue's areas, by the host's address.
Result<std::byte*> find_area(const GuestMemory& memory, const char* name, kvm::Gpa address,
                             std::uint64_t length, std::uint64_t alignment) {
    if (address.value() % alignment != 0) {
        return fail(fmt::format("virtio queue: the {} at {:#x} is not aligned to {} bytes", name,
                                address.value(), alignment),
                    EINVAL);
    }
    const auto span = memory.host_span(address, length);
    if (!span) {
        return fail(fmt::format("virtio queue: the {}: {}", name, span.error().message),
                    span.error().code);
    }
    return span->data();
}

}  // namespace

Result<Queue> Queue::create(const GuestMemory& memory, const QueueConfig& config,
                            std::uint64_t features, const QueueState& state) {
    Queue queue(memory, config, features, state);
    const bool packed = queue.packed();
    const std::uint32_t size = config.size;
    if (size == 0 || size > max_size || (!packed && !std::has_single_bit(size))) {
        return fail(fmt::format("virtio queue: {} descriptors", size), EINVAL);
    }
    const bool slots = state.next_available < size && state.next_used < size;
    if ((packed && !slots) || queue.in_flight() > size) {
        return ring::broken("a state that cannot be", EINVAL);
    }
    queue.descriptors_ = KVM_TRY(find_area(memory, packed ? "descriptor ring" : "descriptor table",
                                           config.descriptors, ring::descriptor_size * size, 16));
    queue.driver_ =
        KVM_TRY(find_area(memory, packed ? "driver's event suppression" : "available ring",
                          config.driver, packed ? 4 : 6 + 2 * size, packed ? 4 : 2));
    queue.device_ = KVM_TRY(find_area(memory, packed ? "device's event suppression" : "used ring",
                                      config.device, packed ? 4 : 6 + 8 * size, 4));
    return queue;
}

/// How many chains (split) or slots (packed) were popped and not yet pushed.
std::uint32_t Queue::in_flight() const {
    if (!packed()) {
        return static_cast<std::uint16_t>(state_.next_available - state_.next_used);
    }
    const std::uint32_t lap = state_.available_wrap == state_.used_wrap ? 0 : config_.size;
    return lap + state_.next_available - state_.next_used;
}

std::uint32_t Queue::longest_table() const {
    return std::max<std::uint32_t>(config_.size, max_indirect);
}

Result<std::span<const std::byte>> Queue::indirect_table(kvm::Gpa address,
                                                         std::uint32_t length) const {
    if (!has(feature::indirect_desc)) {
        return ring::broken("an indirect table, which was not agreed upon", EINVAL);
    }
    if (length == 0 || length % ring::descriptor_size != 0) {
        return fail(fmt::format("virtio queue: an indirect table of {} bytes", length), EINVAL);
    }
    auto table = memory_->host_view(address, length);
    if (!table) {
        return fail(fmt::format("virtio queue: an indirect table: {}", table.error().message),
                    table.error().code);
    }
    return table;
}

void Queue::undo_pop(const Chain& chain) {
    if (packed() && state_.next_available < chain.slots) {
        state_.next_available = static_cast<std::uint16_t>(state_.next_available + config_.size);
        state_.available_wrap = !state_.available_wrap;
    }
    state_.next_available = static_cast<std::uint16_t>(state_.next_available - chain.slots);
}

}  // namespace vmm::virtio
