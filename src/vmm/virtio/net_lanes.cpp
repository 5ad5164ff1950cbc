// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <chrono>
#include <cstring>
#include <kvm/try.hpp>
#include <vmm/memory/guest_copy.hpp>
#include <vmm/virtio/net.hpp>
#include <vmm/virtio/net_features.hpp>

/// Receiving and sending.
namespace vmm::virtio {

namespace {

namespace nf = net_feature;

constexpr std::size_t header = sizeof(net::Header);
constexpr std::size_t shortest = header + 14;  // an Ethernet header
constexpr std::size_t longest = header + net::max_frame;
constexpr std::size_t most_pieces = 1000;  // then no more chains are posted
constexpr std::size_t call_pieces = 1023;  // IOV_MAX, and one for what is too long
constexpr int budget = 256;                // frames at once
/// How long a driver may have to wait until it hears that frames were sent.
constexpr std::chrono::microseconds sent_delay(100);

/// The first bytes of the guest's memory that these are, as many as there are.
void copy_first(std::span<const iovec> pieces, std::span<std::byte> to) {
    for (const iovec& piece : pieces) {
        const std::size_t n = std::min(to.size(), piece.iov_len);
        vmm::detail::copy_from_guest(to.data(), static_cast<const std::byte*>(piece.iov_base), n);
        to = to.subspan(n);
        if (to.empty()) {
            return;
        }
    }
}

}  // namespace

/// What the driver's buffers are to hold before a frame is read into them.
std::uint64_t Net::longest_frame() const {
    constexpr std::uint64_t segmented =
        nf::guest_tso4 | nf::guest_tso6 | nf::guest_uso4 | nf::guest_uso6;
    constexpr std::uint64_t jumbo = 9216;
    return has(segmented) ? longest : header + 18 + std::max<std::uint64_t>(options_.mtu, jumbo);
}

/// Pops one chain to receive in; false if there is none.
Result<bool> Net::post_one(Lane& lane, Queue& queue) const {
    Posted posted;
    if (!lane.spare.empty()) {
        posted = std::move(lane.spare.back());
        lane.spare.pop_back();
    }
    if (!KVM_TRY(queue.pop(posted.chain))) {
        lane.spare.push_back(std::move(posted));
        return false;
    }
    posted.bytes = posted.chain.writable_bytes();
    const std::size_t before = lane.pieces.size();
    // More than the longest frame is no use.
    posted.bytes = std::min<std::uint64_t>(posted.bytes, longest);
    KVM_TRY(iovecs(host_->memory(), posted.chain.writable, 0, posted.bytes, Access::read_write,
                   lane.pieces));
    posted.pieces = lane.pieces.size() - before;
    lane.room += posted.bytes;
    lane.slots += posted.chain.slots;
    lane.posted.push_back(std::move(posted));
    return true;
}

/// Whether no more chains are posted for one frame: one is, or with mergeable buffers enough.
bool Net::is_full(const Lane& lane) const {
    return has(nf::mrg_rxbuf) ? lane.room >= longest_frame() ||
                                    lane.pieces.size() - lane.first_piece >= most_pieces
                              : !lane.posted.empty();
}

/// Pops what a frame needs. False if there is nothing at all to receive in.
Result<bool> Net::post(Lane& lane, Queue& queue) const {
    if (lane.first_piece > lane.pieces.size() / 2) {
        lane.pieces.erase(lane.pieces.begin(),
                          lane.pieces.begin() + static_cast<std::ptrdiff_t>(lane.first_piece));
        lane.first_piece = 0;
    }
    while (!is_full(lane)) {
        if (!KVM_TRY(post_one(lane, queue))) {
            return !lane.posted.empty();
        }
    }
    return true;
}

void Net::receive(std::uint16_t index) {
    Lane& lane = lanes_[index];
    const auto queue_index = static_cast<std::uint16_t>(2 * index);
    Queue* queue = host_ ? host_->queue(queue_index) : nullptr;
    if (!queue || index >= pairs_) {
        return;
    }
    queue->disable_notifications();
    Step step = Step::done;
    int rest = budget;
    do {
        step = receive_one(index, *queue);
        if (step == Step::buffers && queue->enable_notifications()) {
            queue->disable_notifications();
            step = Step::done;
        }
    } while (step == Step::done && --rest > 0);
    if (step == Step::stop) {
        return;
    }
    if (queue->state().unsignalled != 0) {
        host_->interrupt(queue_index);
    }
    kvm::Flags<Ready> wanted;
    if (lane.send_again) {
        wanted |= Ready::write;
    }
    if (step == Step::wait) {
        wanted |= Ready::read;
    }
    backend_->want(index, wanted);
    if (step == Step::done) {
        again_->start({});
    }
}

Net::Step Net::receive_one(std::uint16_t index, Queue& queue) {
    Lane& lane = lanes_[index];
    const auto posted = post(lane, queue);
    if (!posted) {
        host_->disable(posted.error().message);
        return Step::stop;
    }
    if (!*posted) {
        return Step::buffers;
    }
    if (!lane.beside.empty()) {
        return deliver(lane, queue);
    }
    if (!receive_limit_->admit(received_unpaid_)) {
        return Step::limited;
    }
    received_unpaid_ = 0;
    // A frame that may not fit is read beside, and so not lost if more buffers come; also one for
    // buffers in more pieces than a call takes.
    const bool fits = (lane.room >= longest_frame() || !has(nf::mrg_rxbuf)) &&
                      lane.pieces.size() - lane.first_piece <= call_pieces;
    std::byte more;
    net::Arrival arrival;
    if (fits) {
        lane.pieces.push_back({&more, 1});  // is written if the frame is too long
        arrival = backend_->receive(index, std::span(lane.pieces).subspan(lane.first_piece));
        lane.pieces.pop_back();
    } else {
        lane.beside.resize(longest);
        const iovec piece{lane.beside.data(), lane.beside.size()};
        arrival = backend_->receive(index, std::span(&piece, 1));
        lane.beside.resize(arrival.length);
    }
    if (arrival.outcome != net::Outcome::done) {
        return arrival.outcome == net::Outcome::wait ? Step::wait : Step::done;
    }
    received_unpaid_ = arrival.length;
    if (!fits) {
        return lane.beside.size() < shortest ? (lane.beside.clear(), Step::done)
                                             : deliver(lane, queue);
    }
    if (arrival.length > lane.room) {
        ++counters_.too_long;
        return Step::done;
    }
    return finish(lane, queue, arrival.length);
}

/// Gives the driver the frame that waits beside, if there is room now.
Net::Step Net::deliver(Lane& lane, Queue& queue) {
    if (lane.room < lane.beside.size()) {
        if (!is_full(lane) && lane.slots < queue.config().size) {
            return Step::buffers;
        }
        ++counters_.too_long;  // all that may be posted is not enough
        lane.beside.clear();
        return Step::done;
    }
    std::span<const std::byte> rest = lane.beside;
    for (std::size_t i = lane.first_piece; !rest.empty(); ++i) {
        const std::size_t n = std::min(rest.size(), lane.pieces[i].iov_len);
        vmm::detail::copy_to_guest(static_cast<std::byte*>(lane.pieces[i].iov_base), rest.data(),
                                   n);
        rest = rest.subspan(n);
    }
    const std::size_t length = lane.beside.size();
    lane.beside.clear();
    return finish(lane, queue, length);
}

/// A frame is in the posted buffers: the driver gets those that it takes, if it wants it.
Net::Step Net::finish(Lane& lane, Queue& queue, std::uint64_t bytes) {
    if (bytes < shortest) {
        return Step::done;
    }
    std::array<std::byte, header + 6> start;
    copy_first(std::span(lane.pieces).subspan(lane.first_piece), start);
    net::Mac to;
    std::memcpy(to.bytes.data(), start.data() + header, to.bytes.size());
    if (!filter_.wants(to)) {
        ++counters_.filtered;
        return Step::done;
    }
    ++counters_.received;
    counters_.received_bytes += bytes - header;
    const GuestMemory& memory = host_->memory();
    lane.used.clear();
    std::uint64_t rest = bytes;
    for (const Posted& posted : lane.posted) {
        const std::uint64_t part = std::min(rest, posted.bytes);
        mark_dirty(memory, posted.chain.writable, 0, part);
        lane.used.push_back(
            {posted.chain.id, posted.chain.slots, static_cast<std::uint32_t>(part)});
        rest -= part;
        if (rest == 0) {
            break;
        }
    }
    const auto count = static_cast<std::uint16_t>(lane.used.size());
    // The header may be in pieces, even in more than one chain: then its last bytes are not all
    // in the first, and what the driver reads of it is its own affair.
    if (auto done = write(memory, lane.posted.front().chain.writable, 10,
                          std::as_bytes(std::span(&count, 1)));
        !done && done.error().code != ENODATA) {
        host_->disable(done.error().message);
        return Step::stop;
    }
    queue.push(lane.used);
    for (std::uint16_t i = 0; i < count; ++i) {
        Posted& posted = lane.posted.front();
        lane.room -= posted.bytes;
        lane.slots -= posted.chain.slots;
        lane.first_piece += posted.pieces;
        lane.spare.push_back(std::move(posted));
        lane.posted.pop_front();
    }
    return Step::done;
}

void Net::send(std::uint16_t index) {
    const auto queue_index = static_cast<std::uint16_t>(2 * index + 1);
    Queue* queue = host_ ? host_->queue(queue_index) : nullptr;
    if (!queue || index >= pairs_) {
        return;
    }
    queue->disable_notifications();
    Step step = Step::done;
    int rest = budget;
    do {
        step = send_one(index, *queue);
        if (step == Step::buffers && queue->enable_notifications()) {
            queue->disable_notifications();
            step = Step::done;
        }
    } while (step == Step::done && --rest > 0);
    if (step == Step::stop) {
        return;
    }
    tell_of_sent(index, *queue);
    const bool blocked = step == Step::wait;
    if (blocked != lanes_[index].send_again) {
        lanes_[index].send_again = blocked;
        again_->start({});  // has receive() say what is wanted
    } else if (step == Step::done) {
        again_->start({});
    }
    backend_->sent();
}

/// Nobody waits for a frame to be sent: the driver only gets its buffers back, and it looks for
/// them also when it receives. So it hears of several at once, a little later; that is an interrupt
/// less for most frames, and lets a stream's next ones grow meanwhile.
void Net::tell_of_sent(std::uint16_t index, const Queue& queue) {
    const std::uint64_t unsignalled = queue.state().unsignalled;
    if (unsignalled >= queue.config().size / 4) {
        host_->interrupt(static_cast<std::uint16_t>(2 * index + 1));
    } else if (unsignalled != 0 && !sent_waits_) {
        sent_waits_ = true;
        sent_->start(sent_delay);
    }
}

Net::Step Net::send_one(std::uint16_t index, Queue& queue) {
    Lane& lane = lanes_[index];
    const auto popped = queue.pop(lane.chain);
    if (!popped) {
        host_->disable(popped.error().message);
        return Step::stop;
    }
    if (!*popped) {
        return Step::buffers;
    }
    const std::uint64_t bytes = lane.chain.readable_bytes();
    net::Outcome outcome = net::Outcome::dropped;
    if (bytes >= shortest && bytes <= longest) {
        lane.frame.clear();
        if (auto done = iovecs(host_->memory(), lane.chain.readable, 0, bytes, Access::read_only,
                               lane.frame);
            !done) {
            host_->disable(done.error().message);
            return Step::stop;
        }
        if (!send_limit_->admit(bytes - header)) {
            queue.undo_pop(lane.chain);
            return Step::limited;
        }
        outcome = backend_->send(index, lane.frame);
        if (outcome == net::Outcome::wait) {
            queue.undo_pop(lane.chain);
            return Step::wait;
        }
        if (!host_) {  // a listener's doing
            return Step::stop;
        }
    }
    if (outcome == net::Outcome::done) {
        ++counters_.sent;
        counters_.sent_bytes += bytes - header;
    } else {
        ++counters_.send_refused;
    }
    queue.push(lane.chain, 0);
    return Step::done;
}

}  // namespace vmm::virtio
