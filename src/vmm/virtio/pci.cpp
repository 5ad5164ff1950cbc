// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/virtio/pci.hpp>

namespace vmm::virtio {

namespace {

constexpr std::uint16_t vendor = 0x1af4, first_device = 0x1040;  // virtio 1.2, 4.1.2
constexpr std::uint8_t vendor_capability = 0x09, modern_revision = 1;

/// virtio 1.2, 4.1.4: struct virtio_pci_cap, what follows the id and the pointer.
enum class Structure : std::uint8_t { common = 1, notify = 2, isr = 3, device = 4, window = 5 };
struct [[gnu::packed]] Capability {
    std::uint8_t length = sizeof(Capability) + 2;
    Structure structure{};
    std::uint8_t bar = 0;
    std::uint8_t id = 0;
    std::uint8_t padding[2]{};
    std::uint32_t offset = 0;
    std::uint32_t size = 0;
};
static_assert(sizeof(Capability) == 14);
struct [[gnu::packed]] Extended {  // notify: the multiplier; window: the data
    Capability capability;
    std::uint32_t more = 0;
};
constexpr std::uint16_t window_bar = 4, window_offset = 8, window_size = 12, window_data = 16;

/// PCI Code and ID Assignment 1.11: what a driver by class alone would take it for.
std::uint32_t class_of(DeviceType type) {
    switch (type) {
        case DeviceType::net:
            return 0x020000;
        case DeviceType::block:
            return 0x018000;
        case DeviceType::console:
            return 0x078000;
        default:
            return 0xff0000;
    }
}

pci::Identity identity_of(const Device& device) {
    const auto type = static_cast<std::uint16_t>(device.type());
    const auto id = static_cast<std::uint16_t>(first_device + type);
    return {vendor, id, class_of(device.type()), modern_revision, vendor, id};
}

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}

}  // namespace

PciDevice::PciDevice(Device& device, Wires wires)
    : Function(identity_of(device)), device_(device), wires_(std::move(wires)) {}

Result<std::unique_ptr<PciDevice>> PciDevice::create(Device& device, Wires wires) {
    const std::size_t queues = device.queue_sizes().size();
    if (queues > region_size / notify_step) {
        return fail(fmt::format("{}: {} queues are too many for virtio-pci", device.name(), queues),
                    EINVAL);
    }
    std::unique_ptr<PciDevice> made(new PciDevice(device, std::move(wires)));
    const Wires& w = made->wires_;
    made->msix_ = KVM_TRY(pci::Msix::create(w.messages, static_cast<std::uint16_t>(queues + 1),
                                            std::string(device.name()), w.log));
    made->vectors_ = std::make_unique<std::atomic<std::uint16_t>[]>(queues);
    std::for_each_n(made->vectors_.get(), queues, [](auto& vector) { vector = no_vector; });
    made->doorbells_.resize(queues);
    made->transport_ = KVM_TRY(Transport::create({device, w.memory, w.reactor, *made, w.log}));
    made->add_capabilities();
    return made;
}

void PciDevice::add_capabilities() {
    add_bar64(bar_size, *this);
    const auto add = [&](const auto& body) {
        const std::vector<std::byte> read_only(sizeof body);
        (void)add_capability(vendor_capability, bytes_of(body), read_only);
    };
    const auto queues = static_cast<std::uint32_t>(doorbells_.size());
    add(Capability{.structure = Structure::common, .offset = common_offset, .size = 0x40});
    add(Capability{.structure = Structure::isr, .offset = isr_offset, .size = 1});
    add(Capability{.structure = Structure::device, .offset = config_offset, .size = region_size});
    add(Extended{{.length = sizeof(Extended) + 2,
                  .structure = Structure::notify,
                  .offset = notify_offset,
                  .size = std::max(queues, 1u) * notify_step},
                 notify_step});
    const Extended window{{.length = sizeof(Extended) + 2, .structure = Structure::window}, 0};
    std::array<std::byte, sizeof window> writable{};
    writable[window_bar - 2] = std::byte{0xff};
    std::fill(writable.begin() + window_offset - 2, writable.end(), std::byte{0xff});
    window_capability_ = add_capability(vendor_capability, bytes_of(window), writable);

    msix_capability_ = add_msix(*msix_, table_offset, pending_offset);
}

PciDevice::~PciDevice() { bar_placed(0, std::nullopt); }

/// Doorbells go with the BAR. Where there is none, the write comes by the bus.
void PciDevice::bar_placed(std::size_t, std::optional<kvm::Gpa> address) {
    for (std::uint16_t i = 0; i < doorbells_.size(); ++i) {
        if (doorbells_[i]) {
            wires_.doorbells.remove(transport_->doorbell(i), *doorbells_[i],
                                    kvm::Datamatch::any_length());
            doorbells_[i].reset();
        }
        if (address) {
            const kvm::Gpa at = *address + (notify_offset + std::uint64_t{i} * notify_step);
            const auto added =
                wires_.doorbells.add(transport_->doorbell(i), at, kvm::Datamatch::any_length());
            if (!added) {
                wires_.log.say(complaints_, LogLevel::warn, name(), added.error().message);
            } else if (*added) {
                doorbells_[i] = at;
            }
        }
    }
}

namespace {

bool touches(std::uint16_t offset, std::size_t size, std::uint16_t first, std::size_t length) {
    return offset < first + length && first < offset + size;
}

}  // namespace

/// What the configuration window (virtio 1.2, 4.1.4.9) is set to: its data, and `offset` in BAR 0.
/// Empty if that is no access to be made.
std::span<std::byte> PciDevice::window(std::uint64_t& offset) {
    const auto bar = get<std::uint8_t>(window_capability_ + window_bar);
    const auto size = get<std::uint32_t>(window_capability_ + window_size);
    offset = get<std::uint32_t>(window_capability_ + window_offset);
    if (bar != 0 || (size != 1 && size != 2 && size != 4) || offset % size != 0 ||
        offset >= bar_size) {
        return {};
    }
    return raw(window_capability_ + window_data, size);
}

void PciDevice::config_read(std::uint16_t offset, std::size_t size) {
    if (touches(offset, size, window_capability_ + window_data, 4)) {
        std::uint64_t at = 0;
        if (const auto data = window(at); !data.empty()) {
            read(at, data);
        }
    }
}

void PciDevice::config_written(std::uint16_t offset, std::size_t size) {
    if (touches(offset, size, msix_capability_, 4)) {
        msix_->set_control(get<std::uint16_t>(msix_capability_ + 2));
        update_interrupt();
    }
    if (touches(offset, size, window_capability_ + window_data, 4)) {
        std::uint64_t at = 0;
        if (const auto data = window(at); !data.empty()) {
            write(at, data);
        }
    }
}

void PciDevice::used(std::uint16_t queue) {
    interrupt(vectors_[queue].load(std::memory_order_relaxed), 1);
}

void PciDevice::config() { interrupt(config_vector_.load(std::memory_order_relaxed), 2); }

void PciDevice::interrupt(std::uint16_t vector, std::uint8_t cause) {
    if (msix_->enabled()) {
        return msix_->signal(vector);
    }
    {
        const std::lock_guard lock(isr_mutex_);
        isr_ |= cause;
    }
    update_interrupt();
}

void PciDevice::update_interrupt() {
    const std::lock_guard lock(isr_mutex_);
    set_interrupt(isr_ && !msix_->enabled() ? kvm::Level::high : kvm::Level::low);
}

Result<DeviceSnapshot> PciDevice::save() {
    DeviceSnapshot snapshot = KVM_TRY(transport_->save());
    auto& bytes = snapshot.transport;
    const auto put = [&](std::span<const std::byte> more) {
        bytes.insert(bytes.end(), more.begin(), more.end());
    };
    put(Function::config());
    put(bytes_of(isr_));
    put(bytes_of(config_vector_.load()));
    for (std::size_t i = 0; i < doorbells_.size(); ++i) {
        put(bytes_of(vectors_[i].load()));
    }
    put(msix_->save());
    return snapshot;
}

Result<void> PciDevice::restore(const DeviceSnapshot& snapshot) {
    std::span<const std::byte> rest(snapshot.transport);
    const std::size_t fixed = config_size + 1 + 2 + 2 * doorbells_.size();
    if (rest.size() < fixed) {
        return fail(fmt::format("{}: the state of another transport", name()), EINVAL);
    }
    const auto take = [&](std::size_t size) {
        const auto taken = rest.first(size);
        rest = rest.subspan(size);
        return taken;
    };
    const auto take_vector = [&] {
        std::uint16_t value = 0;
        std::memcpy(&value, take(2).data(), sizeof value);
        return valid_vector(value);
    };
    const auto saved_config = take(config_size);
    const auto isr = std::to_integer<std::uint8_t>(take(1)[0]) & 3;
    config_vector_ = take_vector();
    for (std::size_t i = 0; i < doorbells_.size(); ++i) {
        vectors_[i] = take_vector();
    }
    KVM_TRY(msix_->restore(rest));
    // The window's data would be an access: its size is the last that is set.
    std::vector<std::byte> quiet(saved_config.begin(), saved_config.end());
    std::fill_n(quiet.begin() + window_capability_ + window_size, 4, std::byte{0});
    KVM_TRY(restore_config(quiet));
    std::ranges::copy(saved_config.subspan(window_capability_ + window_size, 4),
                      raw(window_capability_ + window_size, 4).begin());
    {
        const std::lock_guard lock(isr_mutex_);
        isr_ = static_cast<std::uint8_t>(isr);
    }
    KVM_TRY(transport_->restore(snapshot));  // the device may have more to tell
    update_interrupt();
    return {};
}

}  // namespace vmm::virtio
