// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/virtio/net.hpp>
#include <vmm/virtio/net_features.hpp>

namespace vmm::virtio {

namespace {

namespace nf = net_feature;

/// struct virtio_net_config's beginning. virtio 1.2, 5.1.4.
struct NetConfigSpace {
    std::array<std::uint8_t, 6> mac;    // 0
    std::uint16_t status;               // 6
    std::uint16_t max_virtqueue_pairs;  // 8
    std::uint16_t mtu;                  // 10
};
static_assert(sizeof(NetConfigSpace) == 12);
constexpr std::uint16_t link_up = 1, announce_needed = 2;  // of status

struct Pairing {
    std::uint64_t feature;
    net::Offload offload;
};
constexpr std::array<Pairing, 5> taken{{{nf::csum, net::Offload::checksum},
                                        {nf::host_tso4, net::Offload::tso4},
                                        {nf::host_tso6, net::Offload::tso6},
                                        {nf::host_ecn, net::Offload::tso_ecn},
                                        {nf::host_uso, net::Offload::uso}}};
constexpr std::array<Pairing, 5> given{{{nf::guest_csum, net::Offload::checksum},
                                        {nf::guest_tso4, net::Offload::tso4},
                                        {nf::guest_tso6, net::Offload::tso6},
                                        {nf::guest_ecn, net::Offload::tso_ecn},
                                        {nf::guest_uso4 | nf::guest_uso6, net::Offload::uso}}};

std::uint64_t features_of(net::Offloads offloads, std::span<const Pairing> pairings) {
    std::uint64_t features = 0;
    for (const auto& [feature, offload] : pairings) {
        features |= offloads.has(offload) ? feature : 0;
    }
    return features;
}

/// What save() keeps, before the two tables of addresses.
struct SavedNet {
    std::uint32_t version;                              // 0
    std::uint16_t pairs;                                // 4
    std::array<std::uint8_t, 6> mac;                    // 6
    std::uint64_t offloads;                             // 12, packed
    std::uint8_t promiscuous, all_multicast;            // 20
    std::uint8_t too_many_unicast, too_many_multicast;  // 22
    std::uint16_t unicast, multicast;                   // 24: how many addresses follow
} __attribute__((packed));
static_assert(sizeof(SavedNet) == 28);
constexpr std::uint32_t saved_version = 1;

}  // namespace

Result<std::unique_ptr<Net>> Net::create(std::unique_ptr<net::Backend> backend, NetOptions options,
                                         Reactor& reactor) {
    if (backend->queues() == 0 || backend->queues() > 64) {
        return fail(fmt::format("{}: {} queues", options.name, backend->queues()), EINVAL);
    }
    std::unique_ptr<Net> made(new Net(std::move(backend), std::move(options)));
    Net* const device = made.get();
    const auto resume = [device] { device->resume(); };
    device->send_limit_.emplace(
        KVM_TRY(RateLimiter::create(device->options_.send, reactor, resume)));
    device->receive_limit_.emplace(
        KVM_TRY(RateLimiter::create(device->options_.receive, reactor, resume)));
    device->again_.emplace(KVM_TRY(reactor.timer(resume)));
    device->sent_.emplace(KVM_TRY(reactor.timer([device] {
        device->sent_waits_ = false;
        for (std::uint16_t lane = 0; device->host_ && lane < device->pairs_; ++lane) {
            device->host_->interrupt(static_cast<std::uint16_t>(2 * lane + 1));
        }
    })));
    return made;
}

Net::Net(std::unique_ptr<net::Backend> backend, NetOptions options)
    : backend_(std::move(backend)), options_(std::move(options)),
      queue_sizes_(2u * backend_->queues() + 1u, queue_size), lanes_(backend_->queues()) {
    filter_.mac = options_.mac;
}

Net::~Net() = default;

std::uint64_t Net::features() const {
    std::uint64_t features = feature::rings | nf::mac | nf::status | nf::mrg_rxbuf | nf::ctrl_vq |
                             nf::ctrl_rx | nf::ctrl_mac_addr | nf::guest_announce;
    features |= features_of(backend_->takes(), taken) | features_of(backend_->gives(), given);
    features |= backend_->gives().empty() ? 0 : nf::ctrl_guest_offloads;
    features |= options_.mtu != 0 ? nf::mtu : 0;
    features |= backend_->queues() > 1 ? nf::mq : 0;
    return features;
}

void Net::read_config(std::uint64_t offset, std::span<std::byte> data) const {
    NetConfigSpace config{};
    config.mac = filter_.mac.bytes;
    config.status = static_cast<std::uint16_t>((backend_->link() == net::Link::up ? link_up : 0) |
                                               (announce_ ? announce_needed : 0));
    config.max_virtqueue_pairs = backend_->queues();
    config.mtu = options_.mtu;
    const auto bytes = std::as_bytes(std::span(&config, 1));
    if (offset < bytes.size()) {
        const auto part = bytes.subspan(offset);
        std::ranges::copy(part.first(std::min(part.size(), data.size())), data.begin());
    }
}

Result<void> Net::activate(Host& host, std::uint64_t features) {
    host_ = &host;
    features_ = features;
    offloads_ = restored_offloads_.value_or(features) & features & nf::guest_offloads;
    restored_offloads_.reset();
    KVM_TRY(backend_->set_offloads(accepted_offloads()));
    KVM_TRY(backend_->use_queues(pairs_));
    backend_->listen(this);
    announce_ = announce_ && has(nf::guest_announce);
    if (announce_ && has(nf::status)) {
        host.config_changed();
    }
    resume();
    return {};
}

void Net::reset() {
    backend_->listen(nullptr);
    for (std::uint16_t lane = 0; lane < backend_->queues(); ++lane) {
        backend_->want(lane, {});
    }
    const std::size_t count = lanes_.size();
    lanes_.clear();
    lanes_.resize(count);
    host_ = nullptr;
    features_ = offloads_ = 0;
    restored_offloads_.reset();
    pairs_ = 1;
    announce_ = false;
    filter_ = Filter{.mac = options_.mac};
}

/// The one after the last pair; without MQ there is one pair.
std::uint16_t Net::control_queue() const {
    return static_cast<std::uint16_t>(has(nf::mq) ? 2 * backend_->queues() : 2);
}

net::Offloads Net::accepted_offloads() const {
    net::Offloads offloads;
    for (const auto& [feature, offload] : given) {
        if ((offloads_ & feature) == feature) {
            offloads |= offload;
        }
    }
    return offloads;
}

void Net::notified(std::uint16_t queue) {
    if (queue == control_queue()) {
        control();
    } else if (queue / 2 < pairs_) {
        const auto lane = static_cast<std::uint16_t>(queue / 2);
        queue % 2 == 0 ? receive(lane) : send(lane);
    }
}

/// Goes on with all that may have waited.
void Net::resume() {
    for (std::uint16_t lane = 0; host_ && lane < pairs_; ++lane) {
        receive(lane);
        send(lane);
    }
    if (host_) {
        control();
    }
}

void Net::link_changed(net::Link link) {
    if (!host_) {
        return;
    }
    announce_ = announce_ || (link == net::Link::up && has(nf::guest_announce));
    if (has(nf::status)) {
        host_->config_changed();
    }
}

std::vector<Statistic> Net::statistics() const {
    return {
        {"sent", counters_.sent},
        {"sent-bytes", counters_.sent_bytes},
        {"received", counters_.received},
        {"received-bytes", counters_.received_bytes},
        {"send-refused", counters_.send_refused},
        {"filtered", counters_.filtered},
        {"too-long", counters_.too_long},
    };
}

std::vector<std::byte> Net::save() {
    if (!host_) {
        return {};  // as new
    }
    // What was popped and not used is the driver's again.
    for (std::uint16_t i = 0; i < lanes_.size(); ++i) {
        Lane& lane = lanes_[i];
        Queue* const queue = host_->queue(static_cast<std::uint16_t>(2 * i));
        while (queue && !lane.posted.empty()) {
            queue->undo_pop(lane.posted.back().chain);
            lane.posted.pop_back();
        }
        lane.pieces.clear();
        lane.first_piece = 0;
        lane.room = lane.slots = 0;
        lane.beside.clear();
    }
    SavedNet saved{};
    saved.version = saved_version;
    saved.pairs = pairs_;
    saved.mac = filter_.mac.bytes;
    saved.offloads = offloads_;
    saved.promiscuous = filter_.promiscuous;
    saved.all_multicast = filter_.all_multicast;
    saved.too_many_unicast = filter_.too_many_unicast;
    saved.too_many_multicast = filter_.too_many_multicast;
    saved.unicast = static_cast<std::uint16_t>(filter_.unicast.size());
    saved.multicast = static_cast<std::uint16_t>(filter_.multicast.size());
    std::vector<std::byte> bytes;
    const auto append = [&](std::span<const std::byte> more) {
        bytes.insert(bytes.end(), more.begin(), more.end());
    };
    append(std::as_bytes(std::span(&saved, 1)));
    append(std::as_bytes(std::span(filter_.unicast)));
    append(std::as_bytes(std::span(filter_.multicast)));
    return bytes;
}

Result<void> Net::restore(std::span<const std::byte> bytes) {
    SavedNet saved{};
    if (bytes.size() >= sizeof saved) {
        std::memcpy(&saved, bytes.data(), sizeof saved);
    }
    const std::size_t addresses = std::size_t{saved.unicast} + saved.multicast;
    if (saved.version != saved_version || bytes.size() != sizeof saved + addresses * 6 ||
        saved.pairs == 0 || saved.pairs > backend_->queues()) {
        return fail(fmt::format("{}: not the state of such a network device", name()), EINVAL);
    }
    pairs_ = saved.pairs;
    restored_offloads_ = std::uint64_t{saved.offloads};
    filter_ = {saved.promiscuous != 0,
               saved.all_multicast != 0,
               saved.too_many_unicast != 0,
               saved.too_many_multicast != 0,
               {saved.mac},
               {},
               {}};
    filter_.unicast.resize(saved.unicast);
    filter_.multicast.resize(saved.multicast);
    std::size_t at = sizeof saved;
    for (auto* const list : {&filter_.unicast, &filter_.multicast}) {
        for (auto& mac : *list) {
            std::memcpy(&mac, bytes.data() + at, sizeof mac);
            at += sizeof mac;
        }
    }
    announce_ = true;  // it may be elsewhere now
    return {};
}

bool Net::Filter::wants(const net::Mac& to) const {
    if (promiscuous || to == mac) {
        return true;
    }
    if (!to.is_group()) {
        return too_many_unicast || std::ranges::binary_search(unicast, to);
    }
    constexpr net::Mac broadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    return to == broadcast || all_multicast || too_many_multicast ||
           std::ranges::binary_search(multicast, to);
}

}  // namespace vmm::virtio
