// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <algorithm>
#include <array>
#include <vector>
#include <vmm/virtio/device.hpp>

namespace vmm::test {

/// A device for tests of transports: it remembers what it was told.
struct EchoDevice final : virtio::Device {
    static constexpr std::array<std::byte, 4> config{std::byte{1}, std::byte{2}, std::byte{3},
                                                     std::byte{4}};
    static constexpr std::array<std::uint16_t, 2> sizes{8, 16};

    virtio::DeviceType type() const override { return virtio::DeviceType::entropy; }
    std::string_view name() const override { return "echo"; }
    std::uint64_t features() const override { return virtio::feature::rings | 1; }
    std::span<const std::uint16_t> queue_sizes() const override { return sizes; }
    void read_config(std::uint64_t offset, std::span<std::byte> data) const override {
        for (std::size_t i = 0; i < data.size() && offset + i < config.size(); ++i) {
            data[i] = config[offset + i];
        }
    }
    void write_config(std::uint64_t offset, std::span<const std::byte>) override {
        written_at = offset;
    }
    Result<void> activate(virtio::Host& h, std::uint64_t agreed) override {
        host = &h;
        accepted = agreed;
        ++activations;
        if (has_news) {
            host->config_changed();
        }
        return {};
    }
    void notified(std::uint16_t queue) override { notifications.push_back(queue); }
    void reset() override {
        host = nullptr;
        ++resets;
    }
    std::vector<std::byte> save() override { return {std::byte{7}}; }
    Result<void> restore(std::span<const std::byte> bytes) override {
        restored.assign(bytes.begin(), bytes.end());
        return {};
    }

    virtio::Host* host = nullptr;
    std::uint64_t accepted = 0, written_at = ~std::uint64_t{0};
    int activations = 0, resets = 0;
    bool has_news = false;  ///< its configuration is another when it is activated
    std::vector<std::uint16_t> notifications;
    std::vector<std::byte> restored;
};

}  // namespace vmm::test
