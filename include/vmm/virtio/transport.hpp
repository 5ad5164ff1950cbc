// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>
#include <vmm/device/lines.hpp>
#include <vmm/log.hpp>
#include <vmm/virtio/device.hpp>

namespace vmm::virtio {

/// The device status. virtio 1.2, 2.1.
namespace status {
inline constexpr std::uint8_t acknowledge = 1;
inline constexpr std::uint8_t driver = 2;
inline constexpr std::uint8_t driver_ok = 4;
inline constexpr std::uint8_t features_ok = 8;
inline constexpr std::uint8_t needs_reset = 64;
inline constexpr std::uint8_t failed = 128;
}  // namespace status

/// How a transport interrupts the driver: by a status register and a line, or by messages. On the
/// reactor.
class Interrupts {
public:
    /// Buffers of that queue were used.
    virtual void used(std::uint16_t queue) = 0;
    /// The configuration is another, or the device needs a reset.
    virtual void config() = 0;

protected:
    ~Interrupts() = default;
};

/// A queue as the driver sets it up.
struct QueueSetup {
    QueueConfig config;
    bool enabled = false;
    QueueState state;

    friend bool operator==(const QueueSetup&, const QueueSetup&) = default;
};

/// A virtio device with all that the driver did to it, in plain data: what another goes on from.
struct DeviceSnapshot {
    std::uint64_t features = 0;
    std::uint8_t status = 0;
    std::uint32_t generation = 0;
    std::uint32_t feature_select = 0, driver_feature_select = 0;
    std::uint16_t queue_select = 0;
    std::vector<QueueSetup> queues;
    std::vector<std::byte> device;     ///< Device::save()
    std::vector<std::byte> transport;  ///< what the transport itself has beside
};

/// What virtio-mmio and virtio-pci have in common: status, features, queues, configuration, of one
/// device. Their registers call it, from any thread; it does everything on the reactor.
class Transport final : private Host {
public:
    struct Parts {
        Device& device;
        const GuestMemory& memory;
        Reactor& reactor;
        Interrupts& interrupts;
        Log log;  ///< of why the device was disabled
    };
    /// All parts outlive it. Errors: EMFILE.
    static Result<std::unique_ptr<Transport>> create(Parts parts);
    ~Transport();

    Device& device() const { return parts_.device; }

    // Registers. virtio 1.2, 4.1.4.3 and 4.2.2 have the same under other names.
    std::uint8_t status();
    /// 0 resets the device; DRIVER_OK activates it. What the driver must not do sets NEEDS_RESET.
    void set_status(std::uint8_t status);
    void select_device_features(std::uint32_t word);
    std::uint32_t device_features();
    void select_driver_features(std::uint32_t word);
    std::uint32_t driver_features();
    void set_driver_features(std::uint32_t bits);
    std::uint16_t queue_count() const;
    void select_queue(std::uint16_t index);
    std::uint16_t selected_queue();
    /// Of the selected queue; 0 if there is none.
    std::uint16_t max_queue_size();
    QueueSetup queue_setup();
    /// Changes the selected queue, unless it is enabled or there is none.
    void change_queue(const std::function<void(QueueConfig&)>& change);
    /// Enables the selected queue, or (virtio-mmio alone can) takes it away.
    enum class Enable { no, yes };
    void enable_queue(Enable enable);
    std::uint32_t generation();
    void read_config(std::uint64_t offset, std::span<std::byte> data);
    void write_config(std::uint64_t offset, std::span<const std::byte> data);
    /// The driver's notification, if no doorbell had it.
    void notify(std::uint16_t queue) const;

    /// What a doorbell signals for that queue, which exists.
    kvm::FdRef doorbell(std::uint16_t queue) const;

    /// The device, frozen: with the machine paused. Errors: the device's.
    Result<DeviceSnapshot> save();
    /// Goes on from there, in a transport that was used for nothing yet. Errors: EINVAL (other or
    /// longer queues, or features, than this device has), the device's.
    Result<void> restore(const DeviceSnapshot& snapshot);

private:
    struct Line;  // a queue
    explicit Transport(Parts parts);

    // Host.
    const GuestMemory& memory() const override { return parts_.memory; }
    Reactor& reactor() const override { return parts_.reactor; }
    Queue* queue(std::uint16_t index) override;
    void interrupt(std::uint16_t queue) override;
    void config_changed() override;
    void disable(std::string_view why) override;

    std::uint64_t offered() const;
    Result<void> make_queue(Line& line, const QueueState& state);
    void activate();
    void reset();
    Line* selected();

    Parts parts_;
    std::vector<std::unique_ptr<Line>> queues_;
    std::uint64_t features_ = 0;  // the driver's
    std::uint32_t generation_ = 0;
    std::uint32_t feature_select_ = 0, driver_feature_select_ = 0;
    std::uint16_t queue_select_ = 0;
    std::uint8_t status_ = 0;
    bool active_ = false;
    LogLimit disabled_;
};

}  // namespace vmm::virtio
