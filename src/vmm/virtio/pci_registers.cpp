// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cstring>
#include <vmm/virtio/pci.hpp>

namespace vmm::virtio {

namespace {

/// virtio 1.2, 4.1.4.3: struct virtio_pci_common_cfg.
namespace reg {
constexpr std::uint64_t device_feature_select = 0, device_feature = 4;
constexpr std::uint64_t driver_feature_select = 8, driver_feature = 12;
constexpr std::uint64_t config_vector = 16, queue_count = 18, status = 20, generation = 21;
constexpr std::uint64_t queue_select = 22, queue_size = 24, queue_vector = 26, queue_enable = 28;
constexpr std::uint64_t queue_notify_off = 30, descriptors = 32, driver = 40, device = 48;
constexpr std::uint64_t end = 56;
}  // namespace reg

/// How wide the register at `offset` is, where one begins; else 0.
std::size_t width(std::uint64_t offset) {
    if (offset >= reg::end) {
        return 0;
    }
    if (offset >= reg::descriptors) {
        return offset % 8 == 0 ? 8 : offset % 4 == 0 ? 4 : 0;
    }
    if (offset < reg::config_vector) {
        return offset % 4 == 0 ? 4 : 0;
    }
    return offset == reg::status || offset == reg::generation ? 1 : offset % 2 == 0 ? 2 : 0;
}

/// Drivers access a register as wide as it is, addresses also in halves: virtio 1.2, 4.1.3.1.
bool natural(std::uint64_t offset, std::size_t size) {
    const std::size_t wide = width(offset);
    return size == wide || (wide == 8 && size == 4);
}

kvm::Gpa QueueConfig::* area_of(std::uint64_t offset) {
    return offset < reg::driver   ? &QueueConfig::descriptors
           : offset < reg::device ? &QueueConfig::driver
                                  : &QueueConfig::device;
}

}  // namespace

void PciDevice::read(std::uint64_t offset, std::span<std::byte> data) {
    if (offset >= table_offset) {
        return msix_->read_table(offset - table_offset, data);
    }
    if (offset >= pending_offset) {
        return msix_->read_pending(offset - pending_offset, data);
    }
    std::uint64_t value = 0;
    if (offset < isr_offset) {
        value = natural(offset, data.size()) ? read_common(offset, data.size()) : 0;
    } else if (offset == isr_offset) {
        {
            const std::lock_guard lock(isr_mutex_);
            value = std::exchange(isr_, std::uint8_t{0});
        }
        update_interrupt();
    } else if (offset >= config_offset && offset < notify_offset) {
        return transport_->read_config(offset - config_offset, data);
    }
    std::memcpy(data.data(), &value, data.size());
}

void PciDevice::write(std::uint64_t offset, std::span<const std::byte> data) {
    if (offset >= table_offset) {
        msix_->write_table(offset - table_offset, data);
    } else if (offset >= notify_offset && offset < notify_offset + region_size) {
        transport_->notify(static_cast<std::uint16_t>((offset - notify_offset) / notify_step));
    } else if (offset >= config_offset && offset < notify_offset) {
        transport_->write_config(offset - config_offset, data);
    } else if (natural(offset, data.size())) {
        std::uint64_t value = 0;
        std::memcpy(&value, data.data(), data.size());
        write_common(offset, data.size(), value);
    }
}

std::uint64_t PciDevice::read_common(std::uint64_t offset, std::size_t size) {
    Transport& t = *transport_;
    switch (offset) {
        case reg::device_feature:
            return t.device_features();
        case reg::driver_feature:
            return t.driver_features();
        case reg::config_vector:
            return config_vector_.load();
        case reg::queue_count:
            return t.queue_count();
        case reg::status:
            return t.status();
        case reg::generation:
            return t.generation() & 0xff;
        case reg::queue_select:
            return t.selected_queue();
        case reg::queue_size:
            return t.queue_setup().config.size;
        case reg::queue_vector: {
            const auto* const vector = vector_of_selected();
            return vector ? vector->load() : no_vector;
        }
        case reg::queue_enable:
            return t.queue_setup().enabled ? 1 : 0;
        case reg::queue_notify_off:
            return vector_of_selected() ? t.selected_queue() : 0;
        default:
            break;
    }
    if (offset < reg::descriptors) {
        return 0;  // the selectors
    }
    const std::uint64_t address = (t.queue_setup().config.*area_of(offset)).value();
    return size == 4 && offset % 8 == 4 ? address >> 32 : address;
}

void PciDevice::write_common(std::uint64_t offset, std::size_t size, std::uint64_t value) {
    Transport& t = *transport_;
    switch (offset) {
        case reg::device_feature_select:
            return t.select_device_features(static_cast<std::uint32_t>(value));
        case reg::driver_feature_select:
            return t.select_driver_features(static_cast<std::uint32_t>(value));
        case reg::driver_feature:
            return t.set_driver_features(static_cast<std::uint32_t>(value));
        case reg::config_vector:
            config_vector_ = valid_vector(value);
            return;
        case reg::status:
            return write_status(static_cast<std::uint8_t>(value));
        case reg::queue_select:
            return t.select_queue(static_cast<std::uint16_t>(value));
        case reg::queue_size:
            return t.change_queue(
                [&](QueueConfig& queue) { queue.size = static_cast<std::uint16_t>(value); });
        case reg::queue_vector:
            if (auto* const vector = vector_of_selected()) {
                *vector = valid_vector(value);
            }
            return;
        case reg::queue_enable:
            if (value == 1) {
                t.enable_queue(Transport::Enable::yes);
            }
            return;
        default:
            if (offset >= reg::descriptors) {
                write_address(offset, size, value);
            }
    }
}

void PciDevice::write_address(std::uint64_t offset, std::size_t size, std::uint64_t value) {
    transport_->change_queue([&](QueueConfig& queue) {
        kvm::Gpa& area = queue.*area_of(offset);
        constexpr std::uint64_t low = 0xffffffff;
        area = kvm::Gpa(size == 8         ? value
                        : offset % 8 == 4 ? (area.value() & low) | value << 32
                                          : (area.value() & ~low) | value);
    });
}

/// A reset takes the vectors and what was not acknowledged, too.
void PciDevice::write_status(std::uint8_t value) {
    transport_->set_status(value);
    if (value == 0) {
        config_vector_ = no_vector;
        std::for_each_n(vectors_.get(), doorbells_.size(),
                        [](auto& vector) { vector = no_vector; });
        {
            const std::lock_guard lock(isr_mutex_);
            isr_ = 0;
        }
        update_interrupt();
    }
}

std::atomic<std::uint16_t>* PciDevice::vector_of_selected() {
    const std::uint16_t index = transport_->selected_queue();
    return index < doorbells_.size() ? &vectors_[index] : nullptr;
}

std::uint16_t PciDevice::valid_vector(std::uint64_t value) const {
    return value < msix_->vectors() ? static_cast<std::uint16_t>(value) : no_vector;
}

}  // namespace vmm::virtio
