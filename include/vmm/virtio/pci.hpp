// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <memory>
#include <optional>
#include <vmm/device/bus.hpp>
#include <vmm/pci/function.hpp>
#include <vmm/pci/msix.hpp>
#include <vmm/pci/wires.hpp>
#include <vmm/virtio/transport.hpp>

namespace vmm::virtio {

/// A virtio device as a PCI function: virtio 1.2, 4.1, without what is legacy. All its registers
/// are in BAR 0; it interrupts by MSI-X, a vector for each queue and one for the configuration, or
/// by its pin.
class PciDevice final : public pci::Function, private BusDevice, private Interrupts {
public:
    using Wires = pci::DeviceWires;
    /// `device` and the wires outlive it. Errors: EMFILE, EINVAL (more queues than there are
    /// vectors or doorbells).
    static Result<std::unique_ptr<PciDevice>> create(Device& device, Wires wires);
    ~PciDevice() override;

    std::string_view name() const override { return device_.name(); }
    Transport& transport() { return *transport_; }

    /// With the machine paused. Errors: Transport's.
    Result<DeviceSnapshot> save();
    /// In a function that was added to its bus, whose settle() then has the BAR answer. Errors:
    /// EINVAL, Transport's.
    Result<void> restore(const DeviceSnapshot& snapshot);

    /// Where its registers are in BAR 0.
    static constexpr std::uint64_t bar_size = 0x10000;
    static constexpr std::uint64_t common_offset = 0, isr_offset = 0x1000, config_offset = 0x2000;
    static constexpr std::uint64_t notify_offset = 0x3000, pending_offset = 0x4000;
    static constexpr std::uint64_t table_offset = 0x8000, region_size = 0x1000;
    static constexpr std::uint16_t notify_step =
        4;  ///< bytes from one queue's doorbell to the next
    static constexpr std::uint16_t no_vector = 0xffff;

private:
    PciDevice(Device& device, Wires wires);
    void add_capabilities();

    // BAR 0. src/vmm/virtio/pci_registers.cpp
    void read(std::uint64_t offset, std::span<std::byte> data) override;
    void write(std::uint64_t offset, std::span<const std::byte> data) override;
    std::uint64_t read_common(std::uint64_t offset, std::size_t size);
    void write_common(std::uint64_t offset, std::size_t size, std::uint64_t value);
    void write_address(std::uint64_t offset, std::size_t size, std::uint64_t value);
    void write_status(std::uint8_t value);
    std::atomic<std::uint16_t>* vector_of_selected();
    std::uint16_t valid_vector(std::uint64_t value) const;

    // Function.
    void config_read(std::uint16_t offset, std::size_t size) override;
    void config_written(std::uint16_t offset, std::size_t size) override;
    void bar_placed(std::size_t index, std::optional<kvm::Gpa> address) override;
    std::span<std::byte> window(std::uint64_t& offset);

    // Interrupts.
    void used(std::uint16_t queue) override;
    void config() override;
    void interrupt(std::uint16_t vector, std::uint8_t cause);
    void update_interrupt();

    Device& device_;
    Wires wires_;
    std::unique_ptr<pci::Msix> msix_;
    std::unique_ptr<Transport> transport_;
    std::uint16_t msix_capability_ = 0, window_capability_ = 0;  // their offsets
    std::vector<std::optional<kvm::Gpa>> doorbells_;             // of each queue, where it is
    std::mutex isr_mutex_;                                       // of the level and of what follows
    std::uint8_t isr_ = 0;
    std::atomic<std::uint16_t> config_vector_ = no_vector;
    std::unique_ptr<std::atomic<std::uint16_t>[]> vectors_;  // of the queues
    LogLimit complaints_;
};

}  // namespace vmm::virtio
