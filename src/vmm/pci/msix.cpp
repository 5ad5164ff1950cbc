// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/pci/msix.hpp>

namespace vmm::pci {

namespace {

bool fits(std::uint64_t offset, std::size_t size, std::uint64_t end) {
    return (size == 4 || size == 8) && offset % size == 0 && offset < end && size <= end - offset;
}

}  // namespace

Result<std::unique_ptr<Msix>> Msix::create(MessageController& messages, std::uint16_t vectors,
                                           std::string name, Log log) {
    if (vectors == 0 || vectors > most_vectors) {
        return fail(
            fmt::format("{}: {} MSI-X vectors, there are 1 to {}", name, vectors, most_vectors),
            EINVAL);
    }
    std::unique_ptr<Msix> made(new Msix(std::move(name), std::move(log)));
    made->entries_.resize(vectors);
    for (Entry& entry : made->entries_) {
        entry.message = KVM_TRY(messages.create_message());
    }
    return made;
}

/// Once a vector may send: its message is the one that the table has, and goes out if it waited.
void Msix::settle(Entry& entry) {
    if (!(control_ & enable) || masked(entry)) {
        return;
    }
    if (entry.stale) {
        kvm::Msi message{};
        message.address_lo = entry.words[0];
        message.address_hi = entry.words[1];
        message.data = entry.words[2];
        if (auto done = entry.message->set(message); !done) {
            log_.say(complaints_, LogLevel::warn, name_, done.error().message);
        }
        entry.stale = false;
    }
    if (entry.pending) {
        entry.pending = false;
        entry.message->pulse();
    }
}

void Msix::set_control(std::uint16_t control) {
    const std::lock_guard lock(mutex_);
    control_ = control;
    for (Entry& entry : entries_) {
        settle(entry);
    }
}

bool Msix::enabled() const {
    const std::lock_guard lock(mutex_);
    return (control_ & enable) != 0;
}

void Msix::signal(std::uint16_t vector) {
    const std::lock_guard lock(mutex_);
    if (vector >= entries_.size() || !(control_ & enable)) {
        return;
    }
    Entry& entry = entries_[vector];
    if (masked(entry)) {
        entry.pending = true;
    } else {
        entry.message->pulse();
    }
}

void Msix::read_table(std::uint64_t offset, std::span<std::byte> data) const {
    if (!fits(offset, data.size(), table_size())) {
        return;
    }
    const std::lock_guard lock(mutex_);
    const Entry& entry = entries_[offset / entry_size];
    std::memcpy(data.data(), &entry.words[offset % entry_size / 4], data.size());
}

void Msix::write_table(std::uint64_t offset, std::span<const std::byte> data) {
    if (!fits(offset, data.size(), table_size())) {
        return;
    }
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[offset / entry_size];
    const auto before = entry.words;
    std::memcpy(&entry.words[offset % entry_size / 4], data.data(), data.size());
    entry.words[0] &= ~3u;
    entry.words[3] &= 1;
    for (std::size_t i = 0; i < 3; ++i) {
        entry.stale |= entry.words[i] != before[i];
    }
    settle(entry);
}

void Msix::read_pending(std::uint64_t offset, std::span<std::byte> data) const {
    if (!fits(offset, data.size(), pending_size())) {
        return;
    }
    const std::lock_guard lock(mutex_);
    std::uint64_t bits = 0;
    for (std::uint64_t i = 0; i < 8 * data.size() && 8 * offset + i < entries_.size(); ++i) {
        bits |= std::uint64_t{entries_[8 * offset + i].pending} << i;
    }
    std::memcpy(data.data(), &bits, data.size());
}

std::vector<std::byte> Msix::save() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::byte> bytes;
    for (const Entry& entry : entries_) {
        const auto words = std::as_bytes(std::span(entry.words));
        bytes.insert(bytes.end(), words.begin(), words.end());
        bytes.push_back(std::byte{entry.pending});
    }
    return bytes;
}

Result<void> Msix::restore(std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    if (bytes.size() != entries_.size() * (entry_size + 1)) {
        return fail(fmt::format("{}: the state of another device", name_), EINVAL);
    }
    for (Entry& entry : entries_) {
        std::memcpy(entry.words.data(), bytes.data(), entry_size);
        entry.words[0] &= ~3u;
        entry.words[3] &= 1;
        entry.pending = bytes[entry_size] != std::byte{0};
        entry.stale = true;
        bytes = bytes.subspan(entry_size + 1);
        settle(entry);
    }
    return {};
}

}  // namespace vmm::pci
