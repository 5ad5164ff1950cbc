// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <kvm/try.hpp>
#include <vmm/machine/board.hpp>
#include <vmm/machine/disks.hpp>
#include <vmm/virtio/block.hpp>

namespace vmm::detail {

Result<std::vector<block::Image>> open_images(const MachineConfig& config) {
    std::vector<block::Image> images;
    for (const DiskConfig& disk : config.disks) {
        auto image = block::Image::open(disk.image);
        if (!image) {
            return fail("disk: " + image.error().message, image.error().code);
        }
        images.push_back(std::move(*image));
    }
    return images;
}

Result<void> Board::add_disks(const MachineConfig& config, std::vector<block::Image> images) {
    for (std::size_t i = 0; i < images.size(); ++i) {
        const DiskConfig& wanted = config.disks[i];
        Reactor* const devices = KVM_TRY(reactor());
        auto disk = KVM_TRY(block::create_disk(std::move(images[i]), wanted.engine, wanted.limits,
                                               *devices, wires_.log));
        auto device = KVM_TRY(virtio::Block::create(
            std::move(disk), {.serial = wanted.serial, .queues = wanted.queues}, *devices));
        KVM_TRY(add_virtio(std::move(device)));
    }
    return {};
}

}  // namespace vmm::detail
