// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <fmt/format.h>
#include <vmm/pci/function.hpp>
#include <vmm/pci/msix.hpp>

namespace vmm::pci {

namespace {

constexpr std::uint16_t has_capabilities = 1 << 4, interrupt_status = 1 << 3;  // of status
constexpr std::uint64_t bar_flags = 0xf, bar_64_bits = 4;

}  // namespace

void SharedLine::raise() {
    const std::lock_guard lock(mutex_);
    if (raised_++ == 0) {
        line_.set(kvm::Level::high);
    }
}

void SharedLine::lower() {
    const std::lock_guard lock(mutex_);
    if (--raised_ == 0) {
        line_.set(kvm::Level::low);
    }
}

Function::Function(const Identity& identity) {
    put(reg::vendor, identity.vendor, 2);
    put(reg::device, identity.device, 2);
    put(reg::revision, identity.revision, 1);
    put(reg::class_code, identity.class_code, 3);
    put(reg::subsystem_vendor, identity.subsystem_vendor, 2);
    put(reg::subsystem, identity.subsystem, 2);
    set_writable(
        reg::command,
        command::memory | command::master | command::parity | command::serr | command::no_interrupt,
        2);
    set_writable(reg::interrupt_line, 0xff, 1);
}

void Function::put(std::uint16_t offset, std::uint64_t value, std::size_t size) {
    std::memcpy(values_.data() + offset, &value, size);
}

void Function::set_writable(std::uint16_t offset, std::uint64_t mask, std::size_t size) {
    std::memcpy(writable_.data() + offset, &mask, size);
}

void Function::add_bar(bool wide, std::uint64_t size, BusDevice& registers) {
    const std::uint16_t width = wide ? 8 : 4;
    assert(size >= 16 && (size & (size - 1)) == 0 && next_bar_ + width <= reg::bar + 6 * 4);
    put(next_bar_, wide ? bar_64_bits : 0, width);
    set_writable(next_bar_, ~(size - 1), width);
    bars_.push_back({next_bar_, wide, size, &registers});
    next_bar_ = static_cast<std::uint16_t>(next_bar_ + width);
}

void Function::add_bar64(std::uint64_t size, BusDevice& registers) {
    add_bar(true, size, registers);
}

void Function::add_bar32(std::uint32_t size, BusDevice& registers) {
    add_bar(false, size, registers);
}

std::uint16_t Function::add_capability(std::uint8_t id, std::span<const std::byte> body,
                                       std::span<const std::byte> writable) {
    const std::uint16_t at = free_;
    assert(at + 2 + body.size() <= config_size && writable.size() == body.size());
    put(last_link_, at, 1);
    put(at, id, 1);
    std::ranges::copy(body, values_.begin() + at + 2);
    std::ranges::copy(writable, writable_.begin() + at + 2);
    put(reg::status, has_capabilities, 2);
    last_link_ = static_cast<std::uint16_t>(at + 1);
    free_ = static_cast<std::uint16_t>((at + 2 + body.size() + 3) & ~std::size_t{3});
    return at;
}

std::uint16_t Function::add_msix(const Msix& msix, std::uint32_t table, std::uint32_t pending) {
    struct [[gnu::packed]] Capability {
        std::uint16_t control;
        std::uint32_t table, pending;  // the low bits are the BAR's number, 0
    };
    const Capability body{static_cast<std::uint16_t>(msix.vectors() - 1), table, pending};
    const Capability writable{Msix::enable | Msix::mask_all, 0, 0};
    return add_capability(Msix::capability_id, std::as_bytes(std::span(&body, 1)),
                          std::as_bytes(std::span(&writable, 1)));
}

void Function::read_config(std::uint16_t offset, std::span<std::byte> data) {
    config_read(offset, data.size());
    for (std::size_t i = 0; i < data.size(); ++i) {
        const std::size_t at = offset + i;
        data[i] = at < config_size ? values_[at] : std::byte{0};
        if (at == reg::status) {
            const std::lock_guard lock(pin_mutex_);
            data[i] |= pending_ ? std::byte{interrupt_status} : std::byte{0};
        }
    }
}

void Function::write_config(std::uint16_t offset, std::span<const std::byte> data) {
    for (std::size_t i = 0; i < data.size() && offset + i < config_size; ++i) {
        std::byte& value = values_[offset + i];
        const std::byte mask = writable_[offset + i];
        value = (value & ~mask) | (data[i] & mask);
    }
    {
        const std::lock_guard lock(pin_mutex_);
        disabled_ = (get<std::uint16_t>(reg::command) & command::no_interrupt) != 0;
        update_pin();
    }
    config_written(offset, data.size());
}

Result<void> Function::restore_config(std::span<const std::byte> bytes) {
    if (bytes.size() != config_size) {
        return fail(fmt::format("{}: the state of another device", name()), EINVAL);
    }
    write_config(0, bytes);
    return {};
}

std::optional<std::uint64_t> Function::wanted(const Bar& bar) const {
    if (!(get<std::uint16_t>(reg::command) & command::memory)) {
        return std::nullopt;
    }
    const std::uint64_t value =
        bar.wide ? get<std::uint64_t>(bar.offset) : get<std::uint32_t>(bar.offset);
    return value & ~bar_flags;
}

void Function::connect(SharedLine& line, std::uint8_t pin) {
    put(reg::interrupt_pin, pin, 1);
    const std::lock_guard lock(pin_mutex_);
    line_ = &line;
    update_pin();
}

void Function::set_interrupt(kvm::Level level) {
    const std::lock_guard lock(pin_mutex_);
    pending_ = level == kvm::Level::high;
    update_pin();
}

void Function::update_pin() {
    const bool up = pending_ && !disabled_;
    if (line_ && up != raised_) {
        raised_ = up;
        up ? line_->raise() : line_->lower();
    }
}

}  // namespace vmm::pci
