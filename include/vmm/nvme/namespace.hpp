// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>
#include <vmm/block/disk.hpp>
#include <vmm/block/pool.hpp>
#include <vmm/memory/guest_memory.hpp>
#include <vmm/nvme/spec.hpp>

namespace vmm::nvme {

/// Where a command came from: its submission queue and its id.
struct Ticket {
    std::uint16_t queue = 0;
    std::uint16_t command = 0;
};

/// The one namespace of a controller, number 1: a disk, and the I/O commands on it. On a reactor.
class Namespace final : private block::Client {
public:
    /// Who is told of commands that are done.
    class Owner {
    public:
        virtual void finished(Ticket ticket, Status status) = 0;
        /// After one or several finished().
        virtual void finished_some() = 0;

    protected:
        ~Owner() = default;
    };

    Namespace(std::unique_ptr<block::Disk> disk, const GuestMemory& memory, Owner& owner);
    ~Namespace();

    std::string_view name() const { return disk_->name(); }
    const block::DiskInfo& info() const { return info_; }
    std::uint64_t blocks() const { return info_.size / info_.block_size; }
    /// Identify Namespace, 5.15.2.1.
    std::array<std::byte, 4096> identify() const;

    /// Begins a command: how it ended, or nothing if finished() is to tell. It goes to the disk
    /// with kick() at the latest.
    std::optional<Status> execute(const Command& command, Ticket ticket);
    void kick() { disk_->kick(); }
    /// Flushes what was written.
    void flush(Ticket ticket);
    /// All that is under way is finished when this returns.
    void drain(block::Disk::Waiting waiting);

    /// Whether writes are done before they are on the storage: the volatile write cache.
    void set_durability(block::Durability durability) { durability_ = durability; }

    block::DiskCounters counters() const { return disk_->counters(); }

private:
    struct Job;

    std::optional<Status> transfer(const Command& command, Ticket ticket);
    std::optional<Status> write_zeroes(const Command& command, Ticket ticket);
    std::optional<Status> discard(const Command& command, Ticket ticket);
    bool in_range(std::uint64_t first, std::uint64_t blocks) const;
    Job& take_job(Ticket ticket, block::Operation operation);
    void give_back(Job& job);
    bool submit_range(Job& job);
    void completed(std::span<block::Request* const> requests) override;

    std::unique_ptr<block::Disk> disk_;
    block::DiskInfo info_;
    const GuestMemory& memory_;
    Owner& owner_;
    block::Durability durability_ = block::Durability::cached;
    block::Pool<Job> jobs_;
    std::size_t in_flight_ = 0;  // jobs
    bool cancels_ = false;       // what is not begun is not to be
};

}  // namespace vmm::nvme
