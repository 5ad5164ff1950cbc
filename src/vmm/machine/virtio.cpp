// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/device/reset_control.hpp>
#include <vmm/machine/board.hpp>
#include <vmm/x86_64/layout.hpp>
#include <vmm/x86_64/ports.hpp>

namespace vmm::detail {

Result<Reactor*> Board::reactor() {
    if (!reactor_) {
        reactor_ = KVM_TRY(Reactor::create());
    }
    return reactor_.get();
}

Result<void> Board::start_devices() {
    return reactor_ ? reactor_->start("devices") : Result<void>();
}

void Board::pause_devices() {
    if (reactor_) {
        reactor_->pause();
    }
}

void Board::resume_devices() {
    if (reactor_) {
        reactor_->resume();
    }
}

void Board::stop_devices() {
    if (reactor_) {
        reactor_->stop();
    }
}

Result<void> Board::add_virtio(std::unique_ptr<virtio::Device> device) {
    return virtio_transport_ == VirtioTransport::pci ? add_virtio_pci(std::move(device))
                                                     : add_virtio_mmio(std::move(device));
}

/// A page of registers and a pin for each, which ACPI tells of.
Result<void> Board::add_virtio_mmio(std::unique_ptr<virtio::Device> device) {
    namespace layout = x86_64::layout;
    const std::size_t index = virtio_.size();
    if (index == x86_64::gsi::virtio.size()) {
        return fail(fmt::format("{}: there is no place for more than {} virtio devices",
                                device->name(), index),
                    ENOSPC);
    }
    const std::uint32_t gsi = x86_64::gsi::virtio[index];
    const kvm::Gpa address = layout::virtio_mmio + index * layout::virtio_mmio_step;
    InterruptPulse* const interrupt = KVM_TRY(pulse(gsi));
    Reactor* const devices = KVM_TRY(reactor());
    auto transport = KVM_TRY(virtio::MmioDevice::create(
        *device, {wires_.memory, *devices, *interrupt, doorbells_, address, wires_.log}));
    KVM_TRY(mmio_.add(address.value(), virtio::MmioDevice::size, *transport, device->name()));
    nodes_.push_back({acpi::aml::numbered('V', static_cast<std::uint32_t>(index)),
                      "LNRO0005",
                      static_cast<std::uint32_t>(index),
                      {acpi::Memory32{static_cast<std::uint32_t>(address.value()),
                                      static_cast<std::uint32_t>(virtio::MmioDevice::size)},
                       acpi::Interrupt{gsi}},
                      {}});
    virtio_.push_back({std::move(device), std::move(transport), nullptr});
    return {};
}

Result<void> Board::add_virtio_pci(std::unique_ptr<virtio::Device> device) {
    Reactor* const devices = KVM_TRY(reactor());
    auto transport = KVM_TRY(virtio::PciDevice::create(
        *device, {wires_.memory, *devices, messages(), doorbells_, wires_.log}));
    KVM_TRY(pci().add(*transport));
    virtio_.push_back({std::move(device), nullptr, std::move(transport)});
    return {};
}

pci::Root& Board::pci() {
    namespace layout = x86_64::layout;
    if (!pci_) {
        std::vector<InterruptLine*> lines;
        for (const std::uint32_t gsi : x86_64::gsi::pci) {
            lines.push_back(&line(gsi));
        }
        pci_windows_ = {{layout::pci_memory, layout::pci_memory_size},
                        {x86_64::pci_memory64(memory_bytes_), layout::pci_memory64_size}};
        pci_ = std::make_unique<pci::Root>(
            pci::Root::Wires{mmio_,
                             pci_windows_,
                             {x86_64::gsi::pci.begin(), x86_64::gsi::pci.end()},
                             lines,
                             wires_.log});
    }
    return *pci_;
}

Result<void> Board::add_reset_control() {
    namespace ports = x86_64::ports;
    auto& control = own<ResetControl>(wires_.reset);
    if (!pci_) {
        return ports_.add(ports::reset_control, 1, control, "reset control");
    }
    BusDevice& around = *devices_.emplace_back(pci_->create_ports(control));
    KVM_TRY(ports_.add(ports::pci_config, pci::Root::ports, around, "PCI and reset control"));
    return mmio_.add(x86_64::layout::pci_config.value(), pci::Root::config_space_size,
                     pci_->config_space(), "PCI configuration");
}

}  // namespace vmm::detail
