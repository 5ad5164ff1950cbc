// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <kvm/try.hpp>
#include <vmm/virtio/net.hpp>
#include <vmm/virtio/net_features.hpp>
#include <vmm/virtio/serve.hpp>

/// The control queue: virtio 1.2, 5.1.6.5.
namespace vmm::virtio {

namespace {

namespace nf = net_feature;
namespace nc = net_command;

constexpr std::size_t most_addresses = 64;  // of each table; then all frames are let through
constexpr std::size_t longest_command = 64 << 10;

template <class T>
T value_at(std::span<const std::byte> bytes) {
    T value{};
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

/// A table of addresses at the beginning of `data`, which is then what follows. False if it is cut
/// short.
bool read_table(std::span<const std::byte>& data, std::vector<net::Mac>& table, bool& too_many) {
    if (data.size() < 4) {
        return false;
    }
    const std::uint64_t count = value_at<std::uint32_t>(data);
    data = data.subspan(4);
    if (count > data.size() / 6) {
        return false;
    }
    too_many = count > most_addresses;
    table.clear();
    for (std::uint64_t i = 0; !too_many && i < count; ++i) {
        table.push_back(value_at<net::Mac>(data.subspan(6 * i)));
    }
    std::ranges::sort(table);
    data = data.subspan(6 * count);
    return true;
}

}  // namespace

void Net::control() {
    if (!has(nf::ctrl_vq)) {
        return;
    }
    Chain chain;
    const auto handle = [this](const Chain& c) -> Result<std::optional<std::uint32_t>> {
        return KVM_TRY(answer(c));
    };
    if (!serve(*host_, control_queue(), chain, queue_size, handle)) {
        again_->start({});
    }
}

/// Does what a chain says; how many bytes were written.
Result<std::uint32_t> Net::answer(const Chain& chain) {
    if (chain.writable_bytes() == 0) {
        return fail("a control command without room for the answer", EINVAL);
    }
    std::uint8_t reply = nc::error;
    if (const std::uint64_t bytes = chain.readable_bytes(); bytes <= longest_command) {
        std::vector<std::byte> command(bytes);
        KVM_TRY(read(host_->memory(), chain.readable, 0, command));
        reply = obey(command) ? nc::ok : nc::error;
    }
    KVM_TRY(write(host_->memory(), chain.writable, 0, std::as_bytes(std::span(&reply, 1))));
    return 1u;
}

/// False if it is no command, or one that was not agreed upon.
bool Net::obey(std::span<const std::byte> command) {
    if (command.size() < 2) {
        return false;
    }
    const auto kind = value_at<std::uint8_t>(command);
    const auto which = value_at<std::uint8_t>(command.subspan(1));
    const std::span data = command.subspan(2);
    switch (kind) {
        case nc::rx:
            return has(nf::ctrl_rx) && set_mode(which, data);
        case nc::mac:
            return set_addresses(which, data);
        case nc::announce:
            if (!has(nf::guest_announce) || which != nc::announce_acknowledge) {
                return false;
            }
            announce_ = false;
            return true;
        case nc::mq:
            return has(nf::mq) && which == nc::mq_pairs_set && set_pairs(data);
        case nc::guest_offloads:
            return has(nf::ctrl_guest_offloads) && which == nc::guest_offloads_set &&
                   set_offloads(data);
        default:
            return false;
    }
}

bool Net::set_mode(std::uint8_t which, std::span<const std::byte> data) {
    if (data.empty() || which > nc::rx_all_multicast) {
        return false;
    }
    bool& mode = which == nc::rx_promiscuous ? filter_.promiscuous : filter_.all_multicast;
    mode = data[0] != std::byte{0};
    return true;
}

bool Net::set_addresses(std::uint8_t which, std::span<const std::byte> data) {
    if (which == nc::mac_address_set && has(nf::ctrl_mac_addr) && data.size() == 6) {
        const auto mac = value_at<net::Mac>(data);
        if (mac.is_group()) {
            return false;
        }
        filter_.mac = mac;
        return true;
    }
    if (which != nc::mac_table_set || !has(nf::ctrl_rx)) {
        return false;
    }
    Filter changed = filter_;
    if (!read_table(data, changed.unicast, changed.too_many_unicast) ||
        !read_table(data, changed.multicast, changed.too_many_multicast) || !data.empty()) {
        return false;
    }
    filter_ = std::move(changed);
    return true;
}

bool Net::set_pairs(std::span<const std::byte> data) {
    const std::uint16_t pairs = data.size() == 2 ? value_at<std::uint16_t>(data) : 0;
    if (pairs == 0 || pairs > backend_->queues() || !backend_->use_queues(pairs)) {
        return false;
    }
    pairs_ = pairs;
    again_->start({});  // the new ones may have work already
    return true;
}

bool Net::set_offloads(std::span<const std::byte> data) {
    if (data.size() != 8) {
        return false;
    }
    const auto wanted = value_at<std::uint64_t>(data);
    if ((wanted & ~(features_ & nf::guest_offloads)) != 0) {
        return false;
    }
    const std::uint64_t before = std::exchange(offloads_, wanted);
    if (!backend_->set_offloads(accepted_offloads())) {
        offloads_ = before;
        return false;
    }
    return true;
}

}  // namespace vmm::virtio
