// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/nvme/pci.hpp>

namespace vmm::nvme {

namespace {

constexpr std::uint32_t nvme_class = 0x010802;  // PCI Code and ID Assignment 1.11

}  // namespace

PciDevice::PciDevice(Wires wires)
    : Function({vendor, device, nvme_class, 0, vendor, device}), wires_(std::move(wires)) {}

Result<std::unique_ptr<PciDevice>> PciDevice::create(std::unique_ptr<block::Disk> disk,
                                                     const Controller::Options& options,
                                                     Wires wires) {
    std::unique_ptr<PciDevice> made(new PciDevice(std::move(wires)));
    const Wires& w = made->wires_;
    made->controller_ =
        KVM_TRY(Controller::create(std::move(disk), options, {w.memory, w.reactor, *made, w.log}));
    const std::uint16_t vectors = made->controller_->vectors();
    made->msix_ = KVM_TRY(pci::Msix::create(w.messages, vectors, std::string(made->name()), w.log));
    made->bells_.resize(vectors);
    made->add_bar64(bar_size, *made);
    made->msix_capability_ = made->add_msix(*made->msix_, table_offset, pending_offset);
    return made;
}

PciDevice::~PciDevice() {
    if (controller_) {
        wires_.reactor.call([&] { controller_.reset(); });
    }
}

void PciDevice::read(std::uint64_t offset, std::span<std::byte> data) {
    if (offset >= pending_offset) {
        msix_->read_pending(offset - pending_offset, data);
    } else if (offset >= table_offset) {
        msix_->read_table(offset - table_offset, data);
    } else {
        controller_->read(offset, data);
    }
}

void PciDevice::write(std::uint64_t offset, std::span<const std::byte> data) {
    if (offset < table_offset) {
        controller_->write(offset, data);
    } else if (offset < pending_offset) {
        msix_->write_table(offset - table_offset, data);
    }
}

void PciDevice::config_written(std::uint16_t offset, std::size_t size) {
    if (offset < msix_capability_ + 4 && msix_capability_ < offset + size) {
        msix_->set_control(get<std::uint16_t>(msix_capability_ + 2));
        controller_->messages_changed();
    }
}

/// Doorbells go with the BAR. Where there is none, the write comes by the bus.
void PciDevice::bar_placed(std::size_t, std::optional<kvm::Gpa> address) {
    wires_.reactor.call([&] {
        bar_ = address;
        for (std::uint16_t i = 0; i < bells_.size(); ++i) {
            settle(i);
        }
    });
}

void PciDevice::connect(std::uint16_t queue, std::optional<kvm::FdRef> bell) {
    if (!bell) {  // before it is closed
        const auto bar = std::exchange(bar_, std::nullopt);
        settle(queue);
        bar_ = bar;
    }
    bells_[queue].event = bell;
    settle(queue);
}

/// Has the bell where the BAR is.
void PciDevice::settle(std::uint16_t queue) {
    constexpr std::uint64_t step = 8;  // from one tail's doorbell to the next
    auto& [event, at] = bells_[queue];
    const auto any_length = kvm::Datamatch::any_length();
    if (!event) {
        return;
    }
    if (at) {
        wires_.doorbells.remove(*event, *at, any_length);
        at.reset();
    }
    if (bar_) {
        const kvm::Gpa place = *bar_ + (reg::doorbells + step * queue);
        const auto added = wires_.doorbells.add(*event, place, any_length);
        if (!added) {
            wires_.log.say(complaints_, LogLevel::warn, name(), added.error().message);
        } else if (*added) {
            at = place;
        }
    }
}

Snapshot PciDevice::save() {
    Snapshot snapshot{.controller = controller_->save(), .function = {}};
    const auto space = Function::config();
    snapshot.function.assign(space.begin(), space.end());
    const auto messages = msix_->save();
    snapshot.function.insert(snapshot.function.end(), messages.begin(), messages.end());
    return snapshot;
}

Result<void> PciDevice::restore(const Snapshot& snapshot) {
    const std::span<const std::byte> bytes(snapshot.function);
    if (bytes.size() < config_size) {
        return fail(fmt::format("{}: the state of another device", name()), EINVAL);
    }
    KVM_TRY(msix_->restore(bytes.subspan(config_size)));
    KVM_TRY(restore_config(bytes.first(config_size)));
    return controller_->restore(snapshot.controller);
}

}  // namespace vmm::nvme
