// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "bytes.hpp"

#include <bit>
#include <cerrno>
#include <vmm/nvme/namespace.hpp>
#include <vmm/nvme/prp.hpp>

namespace vmm::nvme {

namespace {

constexpr std::uint32_t force_unit_access = 1U << 30;  // of CDW12
constexpr std::uint32_t deallocate_zeroes = 1U << 25;  // the same, of write zeroes
constexpr std::uint32_t deallocate = 1U << 2;          // of CDW11

/// What a discard lists: 6.7.1.
struct Range {
    std::uint32_t attributes = 0;
    std::uint32_t blocks = 0;
    std::uint64_t first = 0;
};

Status status_of(int error, block::Operation operation) {
    switch (error) {
        case 0:
            return Status::success;
        case ECANCELED:
            return Status::aborted;
        case ENOSPC:
        case EDQUOT:
            return Status::capacity_exceeded;
        case EROFS:
            return Status::write_protected;
        case EIO:
        case ENODATA:
            return operation == block::Operation::read ? Status::unrecovered_read
                                                       : Status::write_fault;
        default:
            return Status::internal_error;
    }
}

}  // namespace

/// A command that the disk has.
struct Namespace::Job : block::Request {
    Ticket ticket;
    std::vector<GuestBuffer> data;
    std::vector<Range> ranges;  // of a discard, and which is next
    std::size_t next = 0;
};

Namespace::Namespace(std::unique_ptr<block::Disk> disk, const GuestMemory& memory, Owner& owner)
    : disk_(std::move(disk)), info_(disk_->info()), memory_(memory), owner_(owner) {
    disk_->set_client(this);
}

Namespace::~Namespace() {
    drain(block::Disk::Waiting::cancel);
    disk_->set_client(nullptr);
}

void Namespace::drain(block::Disk::Waiting waiting) {
    cancels_ = waiting == block::Disk::Waiting::cancel;
    do {  // a discard has one range after the other, and a limit may hold the next one back
        disk_->drain(waiting);
    } while (in_flight_ > 0);
    cancels_ = false;
}

std::array<std::byte, 4096> Namespace::identify() const {
    constexpr std::uint8_t optimal_io = 1 << 4, zeroes_deallocate = 1 << 3, protect = 1;
    const std::uint32_t physical = std::max(info_.block_size, 4096U) / info_.block_size;
    const auto granularity = static_cast<std::uint16_t>(physical - 1);
    Page page{};
    for (const std::size_t size_capacity_use : {0U, 8U, 16U}) {
        put(page, size_capacity_use, blocks());
    }
    put(page, 24, optimal_io);
    put(page, 33, zeroes_deallocate);
    for (const std::size_t write_and_discard : {64U, 66U, 68U, 70U}) {  // NPWG, NPWA, NPDG, NPDA
        put(page, write_and_discard, granularity);
    }
    put(page, 99, info_.access == Access::read_only ? protect : std::uint8_t{0});
    put(page, 128, static_cast<std::uint32_t>(std::countr_zero(info_.block_size)) << 16);
    return page;
}

std::optional<Status> Namespace::execute(const Command& command, Ticket ticket) {
    const auto opcode = static_cast<Opcode>(command.opcode);
    if (command.flags != 0) {
        return Status::invalid_field;
    }
    if (command.nsid != 1 && !(opcode == Opcode::flush && command.nsid == broadcast)) {
        return Status::invalid_namespace;
    }
    switch (opcode) {
        case Opcode::read:
        case Opcode::write:
            return transfer(command, ticket);
        case Opcode::flush:
            flush(ticket);
            return std::nullopt;
        case Opcode::write_zeroes:
            return write_zeroes(command, ticket);
        case Opcode::dataset_management:
            return discard(command, ticket);
    }
    return Status::invalid_opcode;
}

bool Namespace::in_range(std::uint64_t first, std::uint64_t count) const {
    return first <= blocks() && count <= blocks() - first;
}

Namespace::Job& Namespace::take_job(Ticket ticket, block::Operation operation) {
    Job& job = jobs_.take();
    ++in_flight_;
    job.ticket = ticket;
    job.operation = operation;
    job.durability = durability_;
    job.unmap = block::Unmap::no;
    job.offset = job.length = 0;
    job.parts.clear();
    job.data.clear();
    job.ranges.clear();
    job.next = 0;
    return job;
}

void Namespace::give_back(Job& job) {
    --in_flight_;
    jobs_.give_back(job);
}

void Namespace::flush(Ticket ticket) { disk_->submit(take_job(ticket, block::Operation::flush)); }

std::optional<Status> Namespace::transfer(const Command& command, Ticket ticket) {
    const bool reads = command.opcode == static_cast<std::uint8_t>(Opcode::read);
    const std::uint64_t first = command.cdw10_11();
    const std::uint64_t count = (command.cdw12 & 0xffff) + 1;
    if (count * info_.block_size > most_transfer) {
        return Status::invalid_field;
    }
    if (!in_range(first, count)) {
        return Status::out_of_range;
    }
    if (!reads && info_.access == Access::read_only) {
        return Status::write_protected;
    }
    Job& job = take_job(ticket, reads ? block::Operation::read : block::Operation::write);
    job.offset = first * info_.block_size;
    job.length = count * info_.block_size;
    if (command.cdw12 & force_unit_access) {
        job.durability = block::Durability::stored;
    }
    Status status = collect_prps(memory_, command.prp1, command.prp2, job.length, job.data);
    const Access access = reads ? Access::read_write : Access::read_only;
    if (status == Status::success && !iovecs(memory_, job.data, 0, job.length, access, job.parts)) {
        status = Status::data_transfer_error;
    }
    if (status != Status::success) {
        give_back(job);
        return status;
    }
    disk_->submit(job);
    return std::nullopt;
}

std::optional<Status> Namespace::write_zeroes(const Command& command, Ticket ticket) {
    const std::uint64_t first = command.cdw10_11();
    const std::uint64_t count = (command.cdw12 & 0xffff) + 1;
    if (!in_range(first, count)) {
        return Status::out_of_range;
    }
    if (info_.access == Access::read_only) {
        return Status::write_protected;
    }
    Job& job = take_job(ticket, block::Operation::write_zeroes);
    job.offset = first * info_.block_size;
    job.length = count * info_.block_size;
    job.unmap = command.cdw12 & deallocate_zeroes ? block::Unmap::yes : block::Unmap::no;
    if (command.cdw12 & force_unit_access) {
        job.durability = block::Durability::stored;
    }
    disk_->submit(job);
    return std::nullopt;
}

/// All ranges are looked at before the first is discarded; then they are, one after the other.
std::optional<Status> Namespace::discard(const Command& command, Ticket ticket) {
    std::array<Range, 256> ranges;
    const auto listed = std::span(ranges).first((command.cdw10 & 0xff) + 1);
    std::vector<GuestBuffer> data;
    const Status status =
        collect_prps(memory_, command.prp1, command.prp2, listed.size_bytes(), data);
    if (status != Status::success) {
        return status;
    }
    if (!read(memory_, data, 0, std::as_writable_bytes(listed))) {
        return Status::data_transfer_error;
    }
    for (const Range& range : listed) {
        if (!in_range(range.first, range.blocks)) {
            return Status::out_of_range;
        }
    }
    if (!(command.cdw11 & deallocate)) {
        return Status::success;  // other attributes are hints, of which nothing is made
    }
    if (info_.access == Access::read_only) {
        return Status::write_protected;
    }
    Job& job = take_job(ticket, block::Operation::discard);
    job.ranges.assign(listed.begin(), listed.end());
    (void)submit_range(job);  // there is one
    return std::nullopt;
}

/// False if there is none left.
bool Namespace::submit_range(Job& job) {
    if (job.next == job.ranges.size()) {
        return false;
    }
    const Range& range = job.ranges[job.next++];
    job.offset = range.first * info_.block_size;
    job.length = std::uint64_t{range.blocks} * info_.block_size;
    disk_->submit(job);
    return true;
}

void Namespace::completed(std::span<block::Request* const> requests) {
    bool more = false;
    for (block::Request* const request : requests) {
        Job& job = static_cast<Job&>(*request);
        if (job.error == 0 && !cancels_ && submit_range(job)) {
            more = true;
            continue;
        }
        const Ticket ticket = job.ticket;
        const Status status = status_of(job.error, job.operation);
        if (job.operation == block::Operation::read) {
            mark_dirty(memory_, job.data, 0, job.length);
        }
        give_back(job);
        owner_.finished(ticket, status);
    }
    owner_.finished_some();
    if (more) {
        disk_->kick();
    }
}

}  // namespace vmm::nvme
