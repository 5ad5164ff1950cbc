// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <cstdint>
#include <kvm/memslot.hpp>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>
#include <vmm/device/lines.hpp>
#include <vmm/log.hpp>

namespace vmm::pci {

/// A function's MSI-X: a table of messages, and which of them are pending. PCI Local
/// Bus 3.0, 6.8.2. Any thread. It calls nothing but its messages with its lock held.
class Msix {
public:
    static constexpr std::uint8_t capability_id = 0x11;
    static constexpr std::uint16_t most_vectors = 2048;
    static constexpr std::uint64_t entry_size = 16;
    static constexpr std::uint16_t enable = 1 << 15, mask_all = 1 << 14;  ///< message control

    /// `name` is the device's, for the log. Errors: EINVAL (none, or too many), EMFILE.
    static Result<std::unique_ptr<Msix>> create(MessageController& messages, std::uint16_t vectors,
                                                std::string name, Log log);

    std::uint16_t vectors() const { return static_cast<std::uint16_t>(entries_.size()); }
    /// How many bytes the table has, and the pending bits.
    std::uint64_t table_size() const { return entries_.size() * entry_size; }
    std::uint64_t pending_size() const { return (entries_.size() + 63) / 64 * 8; }

    /// The guest wrote to message control.
    void set_control(std::uint16_t control);
    bool enabled() const;
    /// Sends a vector's message, or keeps it pending while it is masked. What is no vector, or
    /// comes while MSI-X is not enabled, is dropped.
    void signal(std::uint16_t vector);

    /// Accesses of 4 or 8 bytes, aligned. Others read as they are, and write nothing.
    void read_table(std::uint64_t offset, std::span<std::byte> data) const;
    void write_table(std::uint64_t offset, std::span<const std::byte> data);
    void read_pending(std::uint64_t offset, std::span<std::byte> data) const;

    /// Table and pending bits, plain; control is in the configuration space. Errors: EINVAL.
    std::vector<std::byte> save() const;
    Result<void> restore(std::span<const std::byte> bytes);

private:
    struct Entry {
        std::array<std::uint32_t, 4> words{0, 0, 0, 1};  // address, data, control: masked
        std::unique_ptr<MessageInterrupt> message;
        bool pending = false;
        bool stale = true;  // what the message has is not what the words say
    };
    Msix(std::string name, Log log) : name_(std::move(name)), log_(std::move(log)) {}
    bool masked(const Entry& entry) const {
        return (control_ & mask_all) != 0 || (entry.words[3] & 1) != 0;
    }
    void settle(Entry& entry);  // with mutex_ held

    std::string name_;
    Log log_;
    LogLimit complaints_;
    mutable std::mutex mutex_;  // of what follows
    std::vector<Entry> entries_;
    std::uint16_t control_ = 0;
};

}  // namespace vmm::pci
