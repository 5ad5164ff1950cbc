// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <vmm/device/reactor.hpp>
#include <vmm/statistic.hpp>
#include <vmm/virtio/queue.hpp>

/// virtio devices: what each is, whatever transport it is behind. virtio 1.2, chapter 5.
namespace vmm::virtio {

enum class DeviceType : std::uint32_t {
    net = 1,
    block = 2,
    console = 3,
    entropy = 4,
    balloon = 5,
    socket = 19,
};

/// What a device may ask of its transport. All on the reactor.
class Host {
public:
    virtual const GuestMemory& memory() const = 0;
    virtual Reactor& reactor() const = 0;
    /// A queue that the driver enabled; null for others, and while the device is not active.
    virtual Queue* queue(std::uint16_t index) = 0;
    /// Interrupts the driver for what was pushed to that queue, if the driver wants that.
    virtual void interrupt(std::uint16_t queue) = 0;
    /// The device's configuration is another: generation and interrupt.
    virtual void config_changed() = 0;
    /// The driver broke the rules. The device is of no use until the driver resets it: its queues
    /// are null from now on, the driver sees DEVICE_NEEDS_RESET, and the log has `why`, one line.
    virtual void disable(std::string_view why) = 0;

protected:
    ~Host() = default;
};

/// A virtio device. All is called on its reactor, one at a time.
class Device {
public:
    Device() = default;
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;
    virtual ~Device() = default;

    virtual DeviceType type() const = 0;
    /// For messages: "disk root.img".
    virtual std::string_view name() const = 0;
    /// The features of the device's own that it offers, and those of `feature` that it can do:
    /// most all of feature::rings.
    virtual std::uint64_t features() const = 0;
    /// The longest that each of its queues may be: powers of two, at most Queue::max_size.
    virtual std::span<const std::uint16_t> queue_sizes() const = 0;

    /// Fills `data` with its configuration from `offset` on; what is beyond is left as it is, 0.
    /// Any offset may come.
    virtual void read_config(std::uint64_t offset, std::span<std::byte> data) const = 0;
    /// The driver writes to it, any bytes anywhere.
    virtual void write_config(std::uint64_t /*offset*/, std::span<const std::byte> /*data*/) {}

    /// The driver is ready: it accepted `features`, and `host` has its queues until reset().
    /// Errors: what keeps the device from working; it is then disabled, with the error's text.
    virtual Result<void> activate(Host& host, std::uint64_t features) = 0;
    /// The driver made buffers available in that queue, or may have. Active devices alone.
    virtual void notified(std::uint16_t queue) = 0;
    /// Ends it: when this returns, nothing of it touches guest memory or `host` any more. What was
    /// in flight is waited for or cancelled. Also of a device that is not active.
    virtual void reset() = 0;

    /// What a device has beside its queues and configuration: bytes of its own format, by which
    /// another of the same kind goes on. What is in flight is waited for. Also of a device that is
    /// not active: none if it is as new.
    virtual std::vector<std::byte> save() { return {}; }
    /// Before activate() with the state's features, if it was active. Errors: EINVAL (not such
    /// bytes).
    virtual Result<void> restore(std::span<const std::byte> bytes);

    /// What it has done since it was made, and how it is; at any time.
    virtual std::vector<Statistic> statistics() const { return {}; }
    /// What went wrong on the host's side and the device lives with, once each.
    virtual std::span<const std::string> notes() const { return {}; }
};

}  // namespace vmm::virtio
