// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "virtio_device.hpp"

#include <vmm/virtio/balloon.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vmm;
    const auto make = [] {
        return std::make_unique<virtio::Balloon>(
            virtio::BalloonOptions{.target_bytes = 1 << 20,
                                   .statistics = std::chrono::milliseconds(1),
                                   .deflate_on_oom = true,
                                   .reporting = true});
    };
    return fuzz::run(std::as_bytes(std::span(data, size)), make,
                     [](virtio::Balloon& balloon, fuzz::Records& input) {
                         balloon.set_target(input.next<std::uint64_t>());
                     });
}
