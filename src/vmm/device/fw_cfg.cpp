// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/device/fw_cfg.hpp>

namespace vmm {

namespace {

// Keys.
enum Key : std::uint16_t {
    key_signature = 0x00,
    key_id = 0x01,
    key_ram_size = 0x03,
    key_cpus = 0x05,
    key_kernel_size = 0x08,
    key_max_cpus = 0x0f,
    key_kernel_data = 0x11,
    key_directory = 0x19,
    key_first_file = 0x20,
};
constexpr std::size_t most_files = 0x1000;
constexpr std::size_t name_size = 56;

// Where the registers are.
constexpr std::uint64_t selector = 0, dma_high = 4, dma_low = 8;

// The DMA descriptor's control word. A transfer of no kind succeeds, and does nothing.
constexpr std::uint32_t dma_error = 1, dma_read = 2, dma_skip = 4, dma_select = 8, dma_write = 16;

void put(std::vector<std::byte>& out, std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) {
        out.push_back(std::byte(value >> (8 * i)));
    }
}

void put_big_endian(std::vector<std::byte>& out, std::uint64_t value, int size) {
    for (int i = size - 1; i >= 0; --i) {
        out.push_back(std::byte(value >> (8 * i)));
    }
}

std::vector<std::byte> number(std::uint64_t value, int size) {
    std::vector<std::byte> bytes;
    put(bytes, value, size);
    return bytes;
}

std::uint64_t big_endian(std::span<const std::byte> bytes) {
    std::uint64_t value = 0;
    for (const std::byte byte : bytes) {
        value = value << 8 | std::to_integer<std::uint64_t>(byte);
    }
    return value;
}

std::vector<std::byte> text(std::string_view ascii) {
    const auto bytes = std::as_bytes(std::span(ascii));
    return {bytes.begin(), bytes.end()};
}

Result<void> check(const std::vector<FwCfgContents::File>& files) {
    std::vector<std::string_view> names;
    for (const auto& file : files) {
        names.push_back(file.name);
        if (file.bytes.size() > 0xffffffff) {
            return fail(fmt::format("fw_cfg: '{}' has more than 4 GiB", file.name), EINVAL);
        }
    }
    if (auto done = check_fw_cfg_names(std::move(names)); !done) {
        return fail("fw_cfg: " + done.error().message, done.error().code);
    }
    return {};
}

std::vector<std::byte> directory(const std::vector<FwCfgContents::File>& files) {
    std::vector<std::byte> bytes;
    put_big_endian(bytes, files.size(), 4);
    std::uint16_t key = key_first_file;
    for (const auto& file : files) {
        put_big_endian(bytes, file.bytes.size(), 4);
        put_big_endian(bytes, key++, 2);
        put_big_endian(bytes, 0, 2);
        auto name = text(file.name);
        name.resize(name_size);
        bytes.insert(bytes.end(), name.begin(), name.end());
    }
    return bytes;
}

}  // namespace

Result<void> check_fw_cfg_names(std::vector<std::string_view> names) {
    if (names.size() > most_files) {
        return fail(fmt::format("{} files are more than {}", names.size(), most_files), EINVAL);
    }
    std::ranges::sort(names);
    for (const std::string_view name : names) {
        if (name.empty() || name.size() >= name_size || name.find('\0') != name.npos) {
            return fail(fmt::format("'{}' is no name of 1 to {} bytes", name, name_size - 1),
                        EINVAL);
        }
    }
    if (const auto twice = std::ranges::adjacent_find(names); twice != names.end()) {
        return fail(fmt::format("there are two files '{}'", *twice), EINVAL);
    }
    return {};
}

Result<std::unique_ptr<FwCfg>> FwCfg::create(const GuestMemory& memory, FwCfgContents contents) {
    constexpr std::uint32_t traditional = 1, dma = 2;
    std::ranges::sort(contents.files, {}, &FwCfgContents::File::name);
    KVM_TRY(check(contents.files));
    std::unique_ptr<FwCfg> device(new FwCfg(memory));
    auto& items = device->items_;
    items[key_signature] = text("QEMU");
    items[key_id] = number(traditional | dma, 4);
    items[key_ram_size] = number(contents.memory_bytes, 8);
    items[key_cpus] = items[key_max_cpus] = number(contents.cpus, 2);
    items[key_kernel_size] = number(contents.kernel.size(), 4);
    items[key_kernel_data] = std::move(contents.kernel);
    items[key_directory] = directory(contents.files);
    std::uint16_t key = key_first_file;
    for (auto& file : contents.files) {
        items[key++] = std::move(file.bytes);
    }
    device->select(key_signature);
    return device;
}

void FwCfg::select(std::uint16_t key) {
    const auto found = items_.find(key);
    item_ = found == items_.end() ? nullptr : &found->second;
    position_ = 0;
}

/// The item's next byte; behind its end are zeros.
std::byte FwCfg::next() {
    return item_ && position_ < item_->size() ? (*item_)[position_++] : std::byte{0};
}

void FwCfg::read(std::uint64_t offset, std::span<std::byte> data) {
    const std::lock_guard lock(mutex_);
    if (offset >= dma_high) {
        static constexpr std::string_view dma_signature = "QEMU CFG";
        for (std::byte& byte : data) {
            byte = offset < ports ? std::byte(dma_signature[offset - dma_high]) : std::byte{0xff};
            ++offset;
        }
    } else if (offset <= 1 && data.size() == 1) {
        data[0] = next();
    }
}

void FwCfg::write(std::uint64_t offset, std::span<const std::byte> data) {
    const std::lock_guard lock(mutex_);
    if (offset == selector && data.size() == 2) {
        select(static_cast<std::uint16_t>(std::to_integer<unsigned>(data[0]) |
                                          std::to_integer<unsigned>(data[1]) << 8));
    } else if (offset == dma_high && data.size() == 4) {
        dma_high_ = static_cast<std::uint32_t>(big_endian(data));
    } else if (offset == dma_low && data.size() == 4) {
        const kvm::Gpa descriptor(std::uint64_t{dma_high_} << 32 | big_endian(data));
        dma_high_ = 0;
        transfer(descriptor);
    }
}

/// Does what the descriptor asks for, and tells there what came of it. A descriptor that is not in
/// RAM has nobody to tell.
void FwCfg::transfer(kvm::Gpa descriptor) {
    std::array<std::byte, 16> bytes;
    if (!memory_.read(descriptor, bytes)) {
        return;
    }
    const std::span<const std::byte> all = bytes;
    const auto control = static_cast<std::uint32_t>(big_endian(all.first(4)));
    const auto length = static_cast<std::uint32_t>(big_endian(all.subspan(4, 4)));
    const kvm::Gpa address(big_endian(all.subspan(8)));
    const bool done = transfer_to(control, address, length).has_value();
    std::vector<std::byte> answer;
    put_big_endian(answer, done ? 0 : dma_error, 4);
    (void)memory_.write(descriptor, answer);  // read from there a moment ago
}

Result<void> FwCfg::transfer_to(std::uint32_t control, kvm::Gpa address, std::uint32_t length) {
    if (control & dma_select) {
        select(static_cast<std::uint16_t>(control >> 16));
    }
    const std::uint64_t size = item_ ? item_->size() : 0;
    const std::uint64_t there = std::min<std::uint64_t>(length, size - std::min(size, position_));
    if (control & dma_read) {
        if (!memory_.contains(address, length)) {
            return fail("fw_cfg: not RAM", EFAULT);
        }
        if (there > 0) {
            KVM_TRY(memory_.write(address, std::span(*item_).subspan(position_, there)));
        }
        KVM_TRY(memory_.fill(address + there, length - there, std::byte{0}));
    } else if (control & dma_write) {
        return fail("fw_cfg: read-only", EROFS);
    } else if (!(control & dma_skip)) {
        return {};
    }
    position_ += there;
    return {};
}

}  // namespace vmm
