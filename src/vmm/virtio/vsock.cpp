// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/virtio/pop.hpp>
#include <vmm/virtio/vsock_parts.hpp>

/// The device and its queues.
namespace vmm::virtio {

using namespace detail;

namespace {

constexpr std::size_t budget = 256;  // packets at once, in each direction
constexpr std::size_t most_resets = 256;
constexpr std::byte saved_version{1};

}  // namespace

void Vsock::read_config(std::uint64_t offset, std::span<std::byte> data) const {
    read_part(std::uint64_t{options_.cid}, offset, data);
}

Result<void> Vsock::activate(Host& host, std::uint64_t) {
    host_ = &host;
    again_ = KVM_TRY(host.reactor().timer([this] { run(); }));
    sweeper_ = KVM_TRY(host.reactor().timer([this] {
        sweeping_ = false;
        sweep();
        run();
    }));
    return listen();
}

void Vsock::reset() {
    listening_.reset();
    again_.reset();
    sweeper_.reset();
    sweeping_ = false;
    connections_.clear();
    greetings_.clear();
    ready_.clear();
    resets_.clear();
    host_ = nullptr;
}

VsockReport Vsock::report() const {
    VsockReport report = report_;
    report.open = connections_.size();
    return report;
}

std::vector<Statistic> Vsock::statistics() const {
    const VsockReport now = report();
    return {
        {"open", now.open, false},
        {"opened", now.opened},
        {"refused", now.refused},
        {"broken", now.broken},
    };
}

std::vector<std::byte> Vsock::save() {
    return host_ ? std::vector{saved_version} : std::vector<std::byte>();
}

Result<void> Vsock::restore(std::span<const std::byte> bytes) {
    if (bytes.size() != 1 || bytes[0] != saved_version) {
        return fail("vsock: a state of another device", EINVAL);
    }
    tell_reset_ = true;
    return {};
}

void Vsock::notified(std::uint16_t queue) {
    if (queue == event) {
        if (auto done = tell_of_reset(); !done) {
            host_->disable(done.error().message);
        }
        return;
    }
    run();
}

Result<void> Vsock::tell_of_reset() {
    Queue* const queue = host_->queue(event);
    if (!tell_reset_ || !queue || !KVM_TRY(pop_or_wait(*queue, chain_))) {
        return {};
    }
    constexpr std::array<std::byte, 4> transport_reset{};  // VIRTIO_VSOCK_EVENT_TRANSPORT_RESET, 0
    KVM_TRY(write(host_->memory(), chain_.writable, 0, transport_reset));
    queue->push(chain_, transport_reset.size());
    host_->interrupt(event);
    tell_reset_ = false;
    return {};
}

/// Does what can be done in both directions now.
void Vsock::run() {
    const auto from_guest = receive();
    const auto to_guest = from_guest ? send() : from_guest;
    if (!to_guest) {
        host_->disable(to_guest.error().message);
    } else if (*from_guest || *to_guest) {
        again_->start({});
    }
}

/// The guest's packets. While there is no room for the answers they wait. True if some were left
/// for later.
Result<bool> Vsock::receive() {
    Queue* const queue = host_->queue(tx);
    std::size_t done = 0;
    while (queue && done < budget && resets_.size() < most_resets &&
           KVM_TRY(pop_or_wait(*queue, chain_))) {
        KVM_TRY(take(chain_));
        queue->push(chain_, 0);
        ++done;
    }
    if (done > 0) {
        host_->interrupt(tx);
    }
    return done == budget;
}

/// Packets to the guest, for as many as it has buffers. True if some were left for later.
Result<bool> Vsock::send() {
    Queue* const queue = host_->queue(rx);
    const bool full = resets_.size() >= most_resets;
    std::size_t done = 0;
    bool pushed = false;
    while (queue && done < budget && (!resets_.empty() || !ready_.empty()) &&
           KVM_TRY(pop_or_wait(*queue, chain_))) {
        ++done;
        const std::uint32_t written = KVM_TRY(fill(chain_));
        if (written == 0) {
            queue->undo_pop(chain_);
            continue;
        }
        queue->push(chain_, written);
        pushed = true;
    }
    if (pushed) {
        host_->interrupt(rx);
    }
    return done == budget || (full && resets_.size() < most_resets);
}

/// The next packet; 0 if there was none after all.
Result<std::uint32_t> Vsock::fill(const Chain& chain) {
    if (chain.writable_bytes() <= vsock_header_size) {
        return fail(fmt::format("a buffer of {} bytes for a packet", chain.writable_bytes()),
                    EINVAL);
    }
    if (!resets_.empty()) {
        const Reset reset = resets_.front();
        resets_.pop_front();
        const VsockHeader header{.src_cid = reset.from_cid,
                                 .dst_cid = options_.cid,
                                 .src_port = reset.key.host,
                                 .dst_port = reset.key.guest,
                                 .length = 0,
                                 .type = reset.type,
                                 .op = vsock_op::reset,
                                 .flags = 0,
                                 .buf_alloc = 0,
                                 .fwd_cnt = 0};
        KVM_TRY(write(host_->memory(), chain.writable, 0,
                      std::as_bytes(std::span(&header, 1)).first(vsock_header_size)));
        return vsock_header_size;
    }
    const Key key = ready_.front();
    ready_.pop_front();
    const auto found = connections_.find(key);
    if (found == connections_.end()) {
        return 0;
    }
    found->second->in_ready = false;
    return fill_from(*found->second, chain);
}

Result<void> Vsock::take(const Chain& chain) {
    const std::uint64_t bytes = chain.readable_bytes();
    if (bytes < vsock_header_size) {
        return fail(fmt::format("a packet of {} bytes", bytes), EINVAL);
    }
    VsockHeader header;
    KVM_TRY(read(host_->memory(), chain.readable, 0,
                 std::as_writable_bytes(std::span(&header, 1)).first(vsock_header_size)));
    if (header.length > bytes - vsock_header_size || header.length > most_data) {
        return fail(fmt::format("a packet of {} bytes that says it has {}", bytes, header.length),
                    EINVAL);
    }
    if (header.src_cid != options_.cid) {
        return {};  // not this guest's: dropped, 5.10.6.4.1
    }
    return handle(header, chain);
}

}  // namespace vmm::virtio
