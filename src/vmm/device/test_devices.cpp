// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <sys/mman.h>
#include <vmm/device/test_devices.hpp>

namespace vmm {

namespace {

/// Up to four bytes as a number.
std::uint32_t number(std::span<const std::byte> data) {
    std::uint32_t value = 0;
    for (std::size_t i = std::min<std::size_t>(data.size(), 4); i-- > 0;) {
        value = value << 8 | std::to_integer<std::uint32_t>(data[i]);
    }
    return value;
}

}  // namespace

std::uint8_t ScratchRegister::read_byte(std::uint64_t offset) {
    return offset < ports ? bytes_[offset].load(std::memory_order_relaxed) : 0xff;
}

void ScratchRegister::write_byte(std::uint64_t offset, std::uint8_t value) {
    if (offset < ports) {
        bytes_[offset].store(value, std::memory_order_relaxed);
    }
}

void PageFlush::write(std::uint64_t offset, std::span<const std::byte> data) {
    constexpr std::uint32_t page = 0x1000;
    if (offset != 0) {
        return;
    }
    const auto host = memory_.host_span(kvm::Gpa(number(data) & ~(page - 1)), page);
    if (host) {
        // Any change has KVM forget it. Other threads of the machine may write there meanwhile.
        (void)mprotect(host->data(), page, PROT_READ | PROT_WRITE | PROT_EXEC);
        (void)mprotect(host->data(), page, PROT_READ | PROT_WRITE);
    }
}

void IrqPorts::write(std::uint64_t offset, std::span<const std::byte> data) {
    if (offset >= lines_.size()) {
        return;
    }
    const std::lock_guard lock(mutex_);
    lines_[offset]->set(number(data) ? kvm::Level::high : kvm::Level::low);
}

void SlowMemory::read(std::uint64_t offset, std::span<std::byte> data) {
    if (offset >= size) {
        return;
    }
    const std::lock_guard lock(mutex_);
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset),
                std::min<std::uint64_t>(data.size(), size - offset), data.begin());
}

void SlowMemory::write(std::uint64_t offset, std::span<const std::byte> data) {
    if (offset >= size) {
        return;
    }
    const std::lock_guard lock(mutex_);
    std::copy_n(data.begin(), std::min<std::uint64_t>(data.size(), size - offset),
                bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
}

void DebugExit::write(std::uint64_t, std::span<const std::byte> data) { line_.exit(number(data)); }

}  // namespace vmm
