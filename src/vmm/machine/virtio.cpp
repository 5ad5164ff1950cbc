// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <kvm/try.hpp>
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

/// A page of registers and a pin for each, which ACPI tells of.
Result<void> Board::add_virtio(std::unique_ptr<virtio::Device> device) {
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
    virtio_.push_back({std::move(device), std::move(transport)});
    return {};
}

}  // namespace vmm::detail
