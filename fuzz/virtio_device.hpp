// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include "records.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <vector>
#include <vmm/virtio/transport.hpp>
#include <vmm/virtio_driver.hpp>

/// A driver that does what it likes to a virtio device behind a transport: each record of the input
/// is a chain, a notification, an access to the configuration, a reset, a move to another device,
/// or, by the target, something that happens on the host.
namespace vmm::fuzz {

class Guest final : virtio::Interrupts {
public:
    static constexpr std::uint64_t ram = 1 << 20, rom = 2 << 20, queues = 0x80000;

    Guest() {  // which ends before these do
        (void)memory();
        (void)reactor();
    }

    /// Resets the device, which is made known to the transport if it was not, and drives it anew.
    void start(virtio::Device& device, std::uint64_t wanted) {
        using namespace virtio;
        if (transport_) {
            transport_->set_status(0);
        } else {
            connect(device);
        }
        const std::uint64_t features = agree(wanted);
        kvm::Gpa at{queues};
        for (std::uint16_t i = 0; i < transport_->queue_count(); ++i) {
            transport_->select_queue(i);
            auto driver = std::make_unique<test::QueueDriver>(memory(), at, queue_size, features);
            at = at + (test::QueueDriver::footprint(queue_size) + 4095) / 4096 * 4096;
            transport_->change_queue([&](QueueConfig& config) { config = driver->config(); });
            transport_->enable_queue(Transport::Enable::yes);
            drivers_[i] = std::move(driver);
        }
        transport_->set_status(status::driver_ok);
    }
    /// Drives it anew, with queues of any size that may be anywhere.
    void start_oddly(Records& input, std::uint64_t wanted) {
        using namespace virtio;
        transport_->set_status(0);
        (void)agree(wanted);
        for (const auto& [index, driver] : drivers_) {
            const auto kind = input.next<std::uint8_t>();
            transport_->select_queue(index);
            transport_->change_queue([&](QueueConfig& config) {
                config = driver->config();
                config.size = input.next<std::uint16_t>();
                if (kind & 1) {
                    config.descriptors = kvm::Gpa(input.next<std::uint32_t>());
                    config.device = kvm::Gpa(input.next<std::uint32_t>());
                }
            });
            transport_->enable_queue(kind & 2 ? Transport::Enable::no : Transport::Enable::yes);
        }
        transport_->set_status(status::driver_ok);
    }
    void reset() { transport_->set_status(0); }
    void unplug() { transport_.reset(); }
    /// Goes on with another device.
    void move_to(virtio::Device& device) {
        const auto state = check(transport_->save());
        connect(device);
        check(transport_->restore(state));
    }

    void offer(Records& input) {
        const auto index =
            static_cast<std::uint16_t>(input.next<std::uint8_t>() % transport_->queue_count());
        std::vector<virtio::Buffer> readable, writable;
        const unsigned count = input.next<std::uint8_t>() % 5;
        for (unsigned i = 0; i < count; ++i) {
            const auto kind = input.next<std::uint8_t>();
            virtio::Buffer buffer{kvm::Gpa(0x1000 + input.next<std::uint16_t>()),
                                  input.next<std::uint16_t>()};
            if (kind & 2) {
                buffer.address = buffer.address + (input.next<std::uint32_t>() << (kind >> 4));
            }
            if (kind & 4) {
                buffer.length = input.next<std::uint32_t>();
            }
            if (kind & 8) {  // what it holds
                const auto data = input.bytes(input.next<std::uint8_t>());
                (void)memory().write(buffer.address, data);
            }
            (kind & 1 ? writable : readable).push_back(buffer);
        }
        (void)drivers_[index]->offer(readable, writable);
        transport_->notify(index);
    }
    void take() {
        for (auto& [index, driver] : drivers_) {
            try {
                while (driver->take()) {
                }
            } catch (const std::logic_error&) {
                // It offered its own rings as buffers.
            }
        }
    }
    void configuration(Records& input) {
        std::array<std::byte, 8> data;
        const auto offset = input.next<std::uint8_t>() & 1 ? input.next<std::uint64_t>()
                                                           : input.next<std::uint8_t>() % 20;
        const auto value = input.next<std::uint64_t>();
        std::memcpy(data.data(), &value, sizeof value);
        const auto part = std::span(data).first(1 + input.next<std::uint8_t>() % 8);
        transport_->write_config(offset, part);
        transport_->read_config(offset, part);
    }
    void turn() { (void)reactor().turn(std::chrono::milliseconds(0)); }

    static const GuestMemory& memory() {
        static const GuestMemory all = check(GuestMemory::create(
            std::array{Region{kvm::Gpa(0), ram},
                       Region{kvm::Gpa(rom), 65536, backing::Anonymous{}, Access::read_only}}));
        return all;
    }
    static Reactor& reactor() {
        static const auto one = check(Reactor::create());
        return *one;
    }

private:
    static constexpr std::uint16_t queue_size = 16;

    /// The features that are agreed upon.
    std::uint64_t agree(std::uint64_t wanted) {
        using namespace virtio;
        transport_->set_status(status::acknowledge);
        transport_->set_status(status::driver);
        std::uint64_t features = 0;
        for (std::uint32_t word = 0; word < 2; ++word) {
            transport_->select_device_features(word);
            transport_->select_driver_features(word);
            const std::uint64_t mask = (wanted | feature::version_1) >> (32 * word);
            const auto bits = static_cast<std::uint32_t>(transport_->device_features() & mask);
            transport_->set_driver_features(bits);
            features |= std::uint64_t(bits) << (32 * word);
        }
        transport_->set_status(status::features_ok);
        return features;
    }
    void connect(virtio::Device& device) {
        transport_.reset();
        transport_ = check(virtio::Transport::create({device, memory(), reactor(), *this, Log()}));
    }
    void used(std::uint16_t) override {}
    void config() override {}

    std::map<std::uint16_t, std::unique_ptr<test::QueueDriver>> drivers_;
    std::unique_ptr<virtio::Transport> transport_;
};

/// `make()` makes a device; `host(device, input)` is what happens outside. A device and its
/// transport serve many runs, reset before each: making them would take longer than a run does.
template <class Make, class Outside>
int run(std::span<const std::byte> bytes, Make make, Outside outside) {
    constexpr int most_records = 256;
    static decltype(make()) device;
    static Guest guest;
    Records input(bytes);
    const std::uint64_t wanted =
        input.next<std::uint8_t>() & 1 ? ~virtio::feature::ring_packed : ~std::uint64_t(0);
    bool moved = false;
    const auto unplug = [&] {
        guest.unplug();
        device.reset();
    };
    const auto start = [&] {
        if (!device) {
            device = make();
        }
        guest.start(*device, wanted);
    };
    start();
    for (int n = 0; input.more() && n < most_records; ++n) {
        switch (input.next<std::uint8_t>() % 8) {
            case 0:
                guest.configuration(input);
                break;
            case 1:
                guest.take();
                break;
            case 2:
                outside(*device, input);
                break;
            case 3:
                if (const auto what = input.next<std::uint8_t>(); what % 8 == 0) {
                    start();
                } else if (what % 8 == 3) {
                    guest.start_oddly(input, wanted);
                } else if (what == 1) {
                    unplug();
                    start();
                } else if (what == 2) {
                    auto other = make();
                    guest.move_to(*other);
                    device = std::move(other);
                    moved = true;
                }
                break;
            default:
                guest.offer(input);
        }
        guest.turn();
    }
    guest.reset();
    if (moved) {
        unplug();  // of another place, for which inputs do not look
    }
    return 0;
}

}  // namespace vmm::fuzz
