// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <kvm/try.hpp>
#include <vmm/boot/image.hpp>
#include <vmm/machine/host_files.hpp>

namespace vmm::detail {

Result<std::vector<std::byte>> read_whole(const std::string& path, const char* what) {
    const Image file = KVM_TRY(Image::open(path));
    std::vector<std::byte> bytes(file.size());
    KVM_TRY(file.read(0, bytes, what));
    return bytes;
}

Result<HostFiles> open_files(const MachineConfig& config) {
    HostFiles files;
    for (const DiskConfig& disk : config.disks) {
        auto image = block::Image::open(disk.image);
        if (!image) {
            return about_setting("disk", std::move(image).error());
        }
        files.disks.push_back(std::move(*image));
    }
    for (const FwCfgFile& file : config.fw_cfg) {
        auto bytes = read_whole(file.path, "the file");
        if (!bytes) {
            return about_setting("fw-cfg", std::move(bytes).error());
        }
        files.fw_cfg.push_back({file.name, std::move(*bytes)});
    }
    return files;
}

}  // namespace vmm::detail
