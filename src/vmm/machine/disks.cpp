// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/machine/board.hpp>
#include <vmm/virtio/block.hpp>

namespace vmm::detail {

Result<void> Board::add_disks(const MachineConfig& config, std::vector<block::Image> images) {
    for (std::size_t i = 0; i < images.size(); ++i) {
        const DiskConfig& wanted = config.disks[i];
        Reactor* const devices = KVM_TRY(reactor());
        auto disk = KVM_TRY(block::create_disk(std::move(images[i]), wanted.engine, wanted.limits,
                                               *devices, wires_.log));
        if (wanted.bus == DiskBus::nvme) {
            KVM_TRY(add_nvme(std::move(disk), {.serial = wanted.serial,
                                               .identity = fmt::format(
                                                   "{} {} {}", wanted.image.path, wanted.serial, i),
                                               .queues = wanted.queues}));
            continue;
        }
        auto device = KVM_TRY(virtio::Block::create(
            std::move(disk), {.serial = wanted.serial, .queues = wanted.queues}, *devices));
        KVM_TRY(add_virtio(std::move(device)));
    }
    return {};
}

Result<void> Board::add_nvme(std::unique_ptr<block::Disk> disk,
                             const nvme::Controller::Options& options) {
    Reactor* const devices = KVM_TRY(reactor());
    auto device = KVM_TRY(nvme::PciDevice::create(
        std::move(disk), options, {wires_.memory, *devices, messages(), doorbells_, wires_.log}));
    KVM_TRY(pci().add(*device));
    nvme_.push_back(std::move(device));
    return {};
}

}  // namespace vmm::detail
