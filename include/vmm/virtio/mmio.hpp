// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <atomic>
#include <memory>
#include <vmm/device/bus.hpp>
#include <vmm/virtio/transport.hpp>

namespace vmm::virtio {

/// A virtio device as a page of registers: virtio 1.2, 4.2, version 2. ACPI tells of it as
/// LNRO0005.
class MmioDevice final : public BusDevice, private Interrupts {
public:
    static constexpr std::uint64_t size = 0x200;

    struct Wires {
        const GuestMemory& memory;
        Reactor& reactor;
        InterruptPulse& interrupt;  ///< edge triggered
        Doorbells& doorbells;
        kvm::Gpa address;  ///< where its registers are
        Log log;
    };
    /// `device` and the wires outlive it. Errors: EMFILE, Doorbells::add()'s.
    static Result<std::unique_ptr<MmioDevice>> create(Device& device, Wires wires);
    ~MmioDevice() override;

    void read(std::uint64_t offset, std::span<std::byte> data) override;
    void write(std::uint64_t offset, std::span<const std::byte> data) override;

    Transport& transport() { return *transport_; }
    /// With the machine paused. Errors: Transport's.
    Result<DeviceSnapshot> save();
    Result<void> restore(const DeviceSnapshot& snapshot);

private:
    explicit MmioDevice(Wires wires) : wires_(std::move(wires)) {}
    void used(std::uint16_t queue) override;
    void config() override;
    void raise(std::uint32_t cause);
    std::uint32_t read_register(std::uint64_t offset);
    void write_register(std::uint64_t offset, std::uint32_t value);

    Wires wires_;
    std::unique_ptr<Transport> transport_;
    std::atomic<std::uint32_t> interrupt_status_ = 0;
    std::uint16_t doorbells_ = 0;  // how many were added
};

}  // namespace vmm::virtio
