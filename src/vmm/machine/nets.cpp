// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/machine/board.hpp>
#include <vmm/virtio/net.hpp>

namespace vmm::detail {

namespace {

Result<std::unique_ptr<net::Backend>> open_network(const NetConfig& config, net::Wires wires) {
    if (const auto* tap = std::get_if<net::TapOptions>(&config.network)) {
        return KVM_TRY(net::Tap::create(*tap, std::move(wires)));
    }
    auto options = std::get<net::UserOptions>(config.network);
    options.mtu = config.mtu != 0 ? config.mtu : options.mtu;
    return net::create_user_network(options, std::move(wires));
}

}  // namespace

Result<void> Board::add_nets(const MachineConfig& config) {
    for (std::size_t i = 0; i < config.nets.size(); ++i) {
        const NetConfig& net = config.nets[i];
        const std::string name = fmt::format("net{}", i);
        Reactor* const devices = KVM_TRY(reactor());
        const auto say = [log = wires_.log, name](const std::string& line) {
            log.warn(name, line);
        };
        auto network = open_network(net, {*devices, say});
        if (!network) {
            return about_setting("net", std::move(network).error());
        }
        const auto mac =
            net.mac ? *net.mac : net::Mac::derive(fmt::format("{} {}", (*network)->name(), i));
        auto device = KVM_TRY(virtio::Net::create(
            std::move(*network),
            {.name = name, .mac = mac, .mtu = net.mtu, .send = net.send, .receive = net.receive},
            *devices));
        KVM_TRY(add_virtio(std::move(device)));
    }
    return {};
}

}  // namespace vmm::detail
