// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/virtio/mmio.hpp>

namespace vmm::virtio {

namespace {

/// virtio 1.2, 4.2.2: registers of 32 bits.
namespace reg {
constexpr std::uint64_t magic = 0x000, version = 0x004, device_id = 0x008, vendor_id = 0x00c;
constexpr std::uint64_t device_features = 0x010, device_features_sel = 0x014;
constexpr std::uint64_t driver_features = 0x020, driver_features_sel = 0x024;
constexpr std::uint64_t queue_sel = 0x030, queue_num_max = 0x034, queue_num = 0x038;
constexpr std::uint64_t queue_ready = 0x044, queue_notify = 0x050;
constexpr std::uint64_t interrupt_status = 0x060, interrupt_ack = 0x064, status = 0x070;
constexpr std::uint64_t descriptors_low = 0x080, descriptors_high = 0x084;
constexpr std::uint64_t driver_low = 0x090, driver_high = 0x094;
constexpr std::uint64_t device_low = 0x0a0, device_high = 0x0a4;
constexpr std::uint64_t shared_length_low = 0x0b0, shared_base_high = 0x0bc;
constexpr std::uint64_t generation = 0x0fc, config = 0x100;
}  // namespace reg

constexpr std::uint32_t magic_value = 0x74726976;             // "virt"
constexpr std::uint32_t vendor_value = 0x584d564b;            // "KVMX"
constexpr std::uint32_t used_buffers = 1, config_change = 2;  // interrupt causes

enum class Half { low, high };

void set_half(kvm::Gpa& address, Half half, std::uint32_t value) {
    const std::uint64_t old = address.value();
    address = kvm::Gpa(half == Half::low ? (old & ~std::uint64_t{0xffffffff}) | value
                                         : (old & 0xffffffff) | std::uint64_t{value} << 32);
}

}  // namespace

Result<std::unique_ptr<MmioDevice>> MmioDevice::create(Device& device, Wires wires) {
    std::unique_ptr<MmioDevice> made(new MmioDevice(std::move(wires)));
    Wires& w = made->wires_;
    made->transport_ = KVM_TRY(Transport::create({device, w.memory, w.reactor, *made, w.log}));
    const kvm::Gpa bell = w.address + reg::queue_notify;
    for (std::uint16_t i = 0; i < made->transport_->queue_count(); ++i) {
        KVM_TRY(w.doorbells.add(made->transport_->doorbell(i), bell,
                                kvm::Datamatch::value(std::uint32_t{i})));
        ++made->doorbells_;
    }
    return made;
}

MmioDevice::~MmioDevice() {
    for (std::uint16_t i = 0; i < doorbells_; ++i) {
        wires_.doorbells.remove(transport_->doorbell(i), wires_.address + reg::queue_notify,
                                kvm::Datamatch::value(std::uint32_t{i}));
    }
}

void MmioDevice::used(std::uint16_t) { raise(used_buffers); }

void MmioDevice::config() { raise(config_change); }

/// One pulse until the driver has acknowledged: it looks at the queues after that.
void MmioDevice::raise(std::uint32_t cause) {
    if (!(interrupt_status_.fetch_or(cause) & cause)) {
        wires_.interrupt.pulse();
    }
}

void MmioDevice::read(std::uint64_t offset, std::span<std::byte> data) {
    if (offset >= reg::config) {
        return transport_->read_config(offset - reg::config, data);
    }
    if (data.size() == 4 && offset % 4 == 0) {
        const std::uint32_t value = read_register(offset);
        std::memcpy(data.data(), &value, sizeof value);
    }
}

void MmioDevice::write(std::uint64_t offset, std::span<const std::byte> data) {
    if (offset >= reg::config) {
        return transport_->write_config(offset - reg::config, data);
    }
    if (data.size() == 4 && offset % 4 == 0) {
        std::uint32_t value = 0;
        std::memcpy(&value, data.data(), sizeof value);
        write_register(offset, value);
    }
}

std::uint32_t MmioDevice::read_register(std::uint64_t offset) {
    Transport& t = *transport_;
    switch (offset) {
        case reg::magic:
            return magic_value;
        case reg::version:
            return 2;
        case reg::device_id:
            return static_cast<std::uint32_t>(t.device().type());
        case reg::vendor_id:
            return vendor_value;
        case reg::device_features:
            return t.device_features();
        case reg::queue_num_max:
            return t.max_queue_size();
        case reg::queue_ready:
            return t.queue_setup().enabled ? 1 : 0;
        case reg::interrupt_status:
            return interrupt_status_.load();
        case reg::status:
            return t.status();
        case reg::generation:
            return t.generation();
        default:  // of shared memory regions, which are not there, all-ones; of the rest 0
            return offset >= reg::shared_length_low && offset <= reg::shared_base_high ? ~0u : 0;
    }
}

void MmioDevice::write_register(std::uint64_t offset, std::uint32_t value) {
    Transport& t = *transport_;
    const auto set_address = [&](kvm::Gpa QueueConfig::* area, Half half) {
        t.change_queue([&](QueueConfig& queue) { set_half(queue.*area, half, value); });
    };
    switch (offset) {
        case reg::device_features_sel:
            return t.select_device_features(value);
        case reg::driver_features:
            return t.set_driver_features(value);
        case reg::driver_features_sel:
            return t.select_driver_features(value);
        case reg::queue_sel:
            return t.select_queue(static_cast<std::uint16_t>(std::min(value, 0xffffu)));
        case reg::queue_num:
            return t.change_queue([&](QueueConfig& queue) {
                queue.size = static_cast<std::uint16_t>(std::min(value, 0xffffu));
            });
        case reg::queue_ready:
            return t.enable_queue(value & 1 ? Transport::Enable::yes : Transport::Enable::no);
        case reg::queue_notify:
            return t.notify(static_cast<std::uint16_t>(std::min(value, 0xffffu)));
        case reg::interrupt_ack:
            interrupt_status_.fetch_and(~value);
            return;
        case reg::status:
            t.set_status(static_cast<std::uint8_t>(value));
            if (value == 0) {
                interrupt_status_ = 0;
            }
            return;
        case reg::descriptors_low:
            return set_address(&QueueConfig::descriptors, Half::low);
        case reg::descriptors_high:
            return set_address(&QueueConfig::descriptors, Half::high);
        case reg::driver_low:
            return set_address(&QueueConfig::driver, Half::low);
        case reg::driver_high:
            return set_address(&QueueConfig::driver, Half::high);
        case reg::device_low:
            return set_address(&QueueConfig::device, Half::low);
        case reg::device_high:
            return set_address(&QueueConfig::device, Half::high);
        default:
            return;  // nothing is there
    }
}

Result<DeviceSnapshot> MmioDevice::save() {
    DeviceSnapshot snapshot = KVM_TRY(transport_->save());
    snapshot.transport = {static_cast<std::byte>(interrupt_status_.load())};
    return snapshot;
}

Result<void> MmioDevice::restore(const DeviceSnapshot& snapshot) {
    if (snapshot.transport.size() != 1) {
        return fail(fmt::format("{}: the state of another transport", transport_->device().name()),
                    EINVAL);
    }
    interrupt_status_ = std::to_integer<std::uint32_t>(snapshot.transport.front());
    KVM_TRY(transport_->restore(snapshot));
    if (interrupt_status_) {
        wires_.interrupt.pulse();  // the one that was under way may be lost
    }
    return {};
}

}  // namespace vmm::virtio
