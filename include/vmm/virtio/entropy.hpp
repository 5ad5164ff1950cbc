// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <optional>
#include <vmm/device/rate_limit.hpp>
#include <vmm/virtio/device.hpp>

namespace vmm::virtio {

/// The entropy device: virtio 1.2, 5.4. Random bytes of the host's kernel, getrandom(2), as many in
/// a second as `rate` allows.
class Entropy final : public Device {
public:
    /// A request gets so many bytes at most, of however many it asks for.
    static constexpr std::size_t most_bytes = 64 << 10;

    explicit Entropy(const Rate& rate = {}) : bucket_(rate) {}

    DeviceType type() const override { return DeviceType::entropy; }
    std::string_view name() const override { return "rng"; }
    std::uint64_t features() const override { return feature::rings; }
    std::span<const std::uint16_t> queue_sizes() const override { return sizes; }
    void read_config(std::uint64_t, std::span<std::byte>) const override {}
    Result<void> activate(Host& host, std::uint64_t features) override;
    void notified(std::uint16_t queue) override;
    void reset() override;
    std::vector<Statistic> statistics() const override { return {{"bytes", bytes_}}; }

private:
    static constexpr std::array<std::uint16_t, 1> sizes{64};

    Result<std::uint32_t> fill(const Chain& chain);
    Result<bool> serve_one(Queue& queue);

    TokenBucket bucket_;
    std::uint64_t bytes_ = 0;
    Host* host_ = nullptr;  // while active
    std::optional<Reactor::Timer> again_;
    Chain chain_;
};

}  // namespace vmm::virtio
