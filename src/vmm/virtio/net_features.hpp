// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>

/// Features and commands of network devices: virtio 1.2, 5.1.3 and 5.1.6.5; the USO ones are 1.3's.
namespace vmm::virtio::net_feature {

constexpr std::uint64_t bit(unsigned number) { return std::uint64_t(1) << number; }

inline constexpr std::uint64_t csum = bit(0), guest_csum = bit(1), ctrl_guest_offloads = bit(2),
                               mtu = bit(3), mac = bit(5), guest_tso4 = bit(7), guest_tso6 = bit(8),
                               guest_ecn = bit(9), host_tso4 = bit(11), host_tso6 = bit(12),
                               host_ecn = bit(13), mrg_rxbuf = bit(15), status = bit(16),
                               ctrl_vq = bit(17), ctrl_rx = bit(18), guest_announce = bit(21),
                               mq = bit(22), ctrl_mac_addr = bit(23), guest_uso4 = bit(54),
                               guest_uso6 = bit(55), host_uso = bit(56);
/// What the driver can take, and may change later.
inline constexpr std::uint64_t guest_offloads =
    guest_csum | guest_tso4 | guest_tso6 | guest_ecn | guest_uso4 | guest_uso6;

}  // namespace vmm::virtio::net_feature

namespace vmm::virtio::net_command {

inline constexpr std::uint8_t ok = 0, error = 1;
inline constexpr std::uint8_t rx = 0, mac = 1, announce = 3, mq = 4, guest_offloads = 5;  // classes
inline constexpr std::uint8_t rx_promiscuous = 0, rx_all_multicast = 1;
inline constexpr std::uint8_t mac_table_set = 0, mac_address_set = 1;
inline constexpr std::uint8_t announce_acknowledge = 0, mq_pairs_set = 0, guest_offloads_set = 0;

}  // namespace vmm::virtio::net_command
