// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "virtio_device.hpp"

#include <vmm/virtio/entropy.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vmm;
    return fuzz::run(
        std::as_bytes(std::span(data, size)),
        [] { return std::make_unique<virtio::Entropy>(Rate{.per_second = 256 << 20}); },
        [](virtio::Entropy&, fuzz::Records&) {});
}
