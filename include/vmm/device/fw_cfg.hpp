// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <map>
#include <string>
#include <vector>
#include <vmm/device/bus.hpp>
#include <vmm/memory/guest_memory.hpp>

namespace vmm {

/// What a FwCfg tells the guest.
struct FwCfgContents {
    struct File {
        std::string name;  ///< at most 55 bytes: "opt/org.example/setting"
        std::vector<std::byte> bytes;
    };
    std::uint64_t memory_bytes = 0;   ///< key 3
    std::uint16_t cpus = 1;           ///< keys 5 and 0xf
    std::vector<std::byte> kernel{};  ///< keys 8, its size, and 0x11: the file that was loaded
    std::vector<File> files{};
};

/// What can be said against the names of files for a guest. Errors: EINVAL, naming the file (a name
/// that is empty, too long or another's; too many files).
Result<void> check_fw_cfg_names(std::vector<std::string_view> names);

/// QEMU's firmware configuration device (docs/specs/fw_cfg): items by number, and files by name in
/// a directory, read byte by byte or by DMA. At 12 ports from 0x510: selector, data at offset 1,
/// DMA address at 4. Nothing can be written.
class FwCfg final : public BusDevice {
public:
    static constexpr std::uint64_t ports = 12;

    /// `memory` is where DMA goes; it must outlive this. Errors: check_fw_cfg_names()'s; EINVAL
    /// (a file of more than 4 GiB).
    static Result<std::unique_ptr<FwCfg>> create(const GuestMemory& memory, FwCfgContents contents);

    void read(std::uint64_t offset, std::span<std::byte> data) override;
    void write(std::uint64_t offset, std::span<const std::byte> data) override;

private:
    using Item = std::vector<std::byte>;

    explicit FwCfg(const GuestMemory& memory) : memory_(memory) {}
    void select(std::uint16_t key);
    std::byte next();
    void transfer(kvm::Gpa descriptor);
    Result<void> transfer_to(std::uint32_t control, kvm::Gpa address, std::uint32_t length);

    const GuestMemory& memory_;
    std::map<std::uint16_t, Item> items_;
    std::mutex mutex_;  // of what follows
    const Item* item_ = nullptr;
    std::uint64_t position_ = 0;  // in the item, or beyond
    std::uint32_t dma_high_ = 0;
};

}  // namespace vmm
