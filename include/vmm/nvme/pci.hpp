// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <memory>
#include <optional>
#include <vector>
#include <vmm/nvme/controller.hpp>
#include <vmm/pci/function.hpp>
#include <vmm/pci/msix.hpp>
#include <vmm/pci/wires.hpp>

namespace vmm::nvme {

/// A controller with all that its driver and its bus did to it, in plain data.
struct Snapshot {
    ControllerState controller;
    std::vector<std::byte> function;  ///< configuration space and MSI-X
};

/// An NVMe controller as a PCI function: registers and doorbells in BAR 0. It interrupts by MSI-X,
/// a vector for each queue of completions, or by its pin.
class PciDevice final : public pci::Function, private BusDevice, private Link {
public:
    using Wires = pci::DeviceWires;
    /// The wires outlive it. Errors: Controller's, EMFILE.
    static Result<std::unique_ptr<PciDevice>> create(std::unique_ptr<block::Disk> disk,
                                                     const Controller::Options& options,
                                                     Wires wires);
    ~PciDevice() override;

    std::string_view name() const override { return controller_->name(); }

    /// What its disk has done; on the reactor.
    std::vector<Statistic> statistics() const { return controller_->statistics(); }

    /// With the machine paused.
    Snapshot save();
    /// In a function that was added to its bus, whose settle() then has the BAR answer. Errors:
    /// EINVAL.
    Result<void> restore(const Snapshot& snapshot);

    /// Drivers look at the class alone. The ids are of those that virtio's owner leaves to devices
    /// without one.
    static constexpr std::uint16_t vendor = 0x1af4, device = 0x10f0;
    /// Where things are in BAR 0.
    static constexpr std::uint64_t bar_size = 0x4000;
    static constexpr std::uint32_t table_offset = 0x2000, pending_offset = 0x3000;

private:
    /// Of a submission queue: what a write signals, and where it does.
    struct Bell {
        std::optional<kvm::FdRef> event;
        std::optional<kvm::Gpa> at;
    };
    explicit PciDevice(Wires wires);
    void settle(std::uint16_t queue);

    // BAR 0.
    void read(std::uint64_t offset, std::span<std::byte> data) override;
    void write(std::uint64_t offset, std::span<const std::byte> data) override;

    // Function.
    void config_written(std::uint16_t offset, std::size_t size) override;
    void bar_placed(std::size_t index, std::optional<kvm::Gpa> address) override;

    // Link.
    void signal(std::uint16_t vector) override { msix_->signal(vector); }
    bool has_messages() const override { return msix_->enabled(); }
    void set_pin(kvm::Level level) override { set_interrupt(level); }
    void connect(std::uint16_t queue, std::optional<kvm::FdRef> bell) override;

    Wires wires_;
    LogLimit complaints_;
    std::uint16_t msix_capability_ = 0;  // its offset
    std::unique_ptr<pci::Msix> msix_;
    std::vector<Bell> bells_;  // on the reactor, as bar_
    std::optional<kvm::Gpa> bar_;
    std::unique_ptr<Controller> controller_;
};

}  // namespace vmm::nvme
