// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/virtio/block.hpp>
#include <vmm/virtio/serve.hpp>

namespace vmm::virtio {

namespace {

/// virtio 1.2, 5.2.3.
namespace offer {
constexpr std::uint64_t seg_max = 1 << 2;
constexpr std::uint64_t read_only = 1 << 5;
constexpr std::uint64_t block_size = 1 << 6;
constexpr std::uint64_t flush = 1 << 9;
constexpr std::uint64_t topology = 1 << 10;
constexpr std::uint64_t config_wce = 1 << 11;
constexpr std::uint64_t multiqueue = 1 << 12;
constexpr std::uint64_t discard = 1 << 13;
constexpr std::uint64_t write_zeroes = 1 << 14;
}  // namespace offer

/// virtio 1.2, 5.2.4.
struct Config {
    std::uint64_t capacity = 0;  // 0x00, in sectors
    std::uint32_t size_max = 0;
    std::uint32_t seg_max = 0;
    std::uint32_t geometry = 0;  // 0x10
    std::uint32_t block_size = 0;
    std::uint8_t physical_block_exponent = 0;  // 0x18
    std::uint8_t alignment_offset = 0;
    std::uint16_t min_io_size = 0;  // in blocks
    std::uint32_t opt_io_size = 0;
    std::uint8_t writeback = 0;  // 0x20
    std::uint8_t unused0 = 0;
    std::uint16_t queues = 0;
    std::uint32_t max_discard_sectors = 0;
    std::uint32_t max_discard_seg = 0;
    std::uint32_t discard_alignment = 0;
    std::uint32_t max_write_zeroes_sectors = 0;  // 0x30
    std::uint32_t max_write_zeroes_seg = 0;
    std::uint8_t write_zeroes_may_unmap = 0;
    std::array<std::uint8_t, 7> unused1{};
};
static_assert(sizeof(Config) == 0x40 && offsetof(Config, writeback) == 0x20 &&
              offsetof(Config, max_write_zeroes_sectors) == 0x30);

/// virtio 1.2, 5.2.6.
enum Type : std::uint32_t {
    type_in = 0,
    type_out = 1,
    type_flush = 4,
    type_get_id = 8,
    type_discard = 11,
    type_write_zeroes = 13,
};
enum Status : std::uint8_t { status_ok = 0, status_error = 1, status_unsupported = 2 };

struct Range {  // of a discard
    std::uint64_t sector = 0;
    std::uint32_t sectors = 0;
    std::uint32_t flags = 0;  // 1: unmap
};

constexpr std::uint64_t sector_size = 512;
constexpr std::size_t id_size = 20;
constexpr std::uint16_t most_queues = 64;
constexpr std::uint32_t most_discard_sectors = 1 << 22;
constexpr std::uint32_t most_zeroes_sectors = 1 << 15;  // the host may have to write them
/// How many requests are begun at once, before other devices have their turn.
constexpr std::size_t budget = 256;

template <class T>
Result<T> read_value(const GuestMemory& memory, const Chain& chain, std::uint64_t offset) {
    T value;
    KVM_TRY(read(memory, chain.readable, offset, std::as_writable_bytes(std::span(&value, 1))));
    return value;
}

}  // namespace

struct Block::Header {
    std::uint32_t type = 0;
    std::uint32_t reserved = 0;
    std::uint64_t sector = 0;
};

/// A request that the disk has.
struct Block::Job : block::Request {
    Chain chain;
    std::uint16_t queue = 0;
};

Block::Block(std::unique_ptr<block::Disk> disk, const Options& options)
    : disk_(std::move(disk)), info_(disk_->info()), options_(options),
      queue_sizes_(options.queues, options.queue_size) {
    disk_->set_client(this);
}

Result<std::unique_ptr<Block>> Block::create(std::unique_ptr<block::Disk> disk,
                                             const Options& options, Reactor& reactor) {
    if (options.serial.size() > id_size) {
        return fail(
            fmt::format("{}: its serial number has more than {} bytes", disk->name(), id_size),
            EINVAL);
    }
    if (options.queues == 0 || options.queues > most_queues) {
        return fail(fmt::format("{}: {} queues are none or more than {}", disk->name(),
                                options.queues, most_queues),
                    EINVAL);
    }
    std::unique_ptr<Block> block(new Block(std::move(disk), options));
    block->again_ = KVM_TRY(reactor.timer([raw = block.get()] {
        for (std::uint64_t more = std::exchange(raw->more_, 0); more != 0; more &= more - 1) {
            raw->notified(static_cast<std::uint16_t>(std::countr_zero(more)));
        }
    }));
    return block;
}

Block::~Block() {
    reset();
    disk_->set_client(nullptr);
}

std::uint64_t Block::features() const {
    // Requests are done in any order, so no in_order.
    const std::uint64_t all = (feature::rings & ~feature::in_order) | offer::seg_max |
                              offer::block_size | offer::flush | offer::topology |
                              offer::config_wce | (options_.queues > 1 ? offer::multiqueue : 0);
    return info_.access == Access::read_only ? all | offer::read_only
                                             : all | offer::discard | offer::write_zeroes;
}

void Block::read_config(std::uint64_t offset, std::span<std::byte> data) const {
    const bool writable = info_.access == Access::read_write;
    const std::uint32_t block_sectors = info_.block_size / sector_size;
    Config config;
    config.capacity = info_.size / sector_size;
    config.seg_max = std::max<std::uint32_t>(options_.queue_size, 3) - 2U;
    config.block_size = info_.block_size;
    config.physical_block_exponent =
        info_.block_size < 4096
            ? static_cast<std::uint8_t>(std::countr_zero(4096 / info_.block_size))
            : std::uint8_t{0};
    config.min_io_size = static_cast<std::uint16_t>(1U << config.physical_block_exponent);
    config.writeback = writeback_ ? 1 : 0;
    config.queues = options_.queues;
    if (writable) {
        config.max_discard_sectors = most_discard_sectors;
        config.max_discard_seg = 1;
        config.discard_alignment = std::max(block_sectors, 8U);
        config.max_write_zeroes_sectors = most_zeroes_sectors;
        config.max_write_zeroes_seg = 1;
        config.write_zeroes_may_unmap = 1;
    }
    const auto bytes = std::as_bytes(std::span(&config, 1));
    if (offset < bytes.size()) {
        std::ranges::copy(bytes.subspan(offset, std::min(bytes.size() - offset, data.size())),
                          data.begin());
    }
}

void Block::write_config(std::uint64_t offset, std::span<const std::byte> data) {
    constexpr std::uint64_t at = offsetof(Config, writeback);
    if ((features_ & offer::config_wce) != 0 && offset <= at && at - offset < data.size()) {
        writeback_ = data[at - offset] != std::byte{0};
    }
}

Result<void> Block::activate(Host& host, std::uint64_t features) {
    host_ = &host;
    features_ = features;
    return {};
}

void Block::reset() {
    host_ = nullptr;
    more_ = 0;
    disk_->drain(block::Disk::Waiting::cancel);
    features_ = 0;
    writeback_ = true;
}

std::vector<std::byte> Block::save() {
    disk_->drain(block::Disk::Waiting::finish);
    return {std::byte{writeback_}};
}

Result<void> Block::restore(std::span<const std::byte> bytes) {
    if (bytes.size() != 1 || bytes[0] > std::byte{1}) {
        return fail(fmt::format("{}: a state of another device", name()), EINVAL);
    }
    writeback_ = bytes[0] == std::byte{1};
    return {};
}

void Block::notified(std::uint16_t queue) {
    if (!host_) {
        return;
    }
    const bool all =
        serve(*host_, queue, chain_, budget, [&](Chain& chain) { return handle(queue, chain); });
    if (!all) {
        more_ |= std::uint64_t{1} << queue;
        again_->start(std::chrono::nanoseconds(0));
    }
    disk_->kick();
}

Block::Written Block::handle(std::uint16_t queue, Chain& chain) {
    if (chain.writable_bytes() == 0) {
        return fail("a request without room for its status", EINVAL);
    }
    const auto header = read_value<Header>(host_->memory(), chain, 0);
    if (!header) {
        return answer(chain, status_error);
    }
    switch (header->type) {
        case type_in:
        case type_out:
            return transfer(queue, chain, *header);
        case type_flush:
            return flush(queue, chain);
        case type_get_id:
            return give_id(chain);
        case type_discard:
        case type_write_zeroes:
            return change_range(queue, chain, *header);
        default:
            return answer(chain, status_unsupported);
    }
}

Block::Written Block::transfer(std::uint16_t queue, Chain& chain, const Header& header) {
    const bool in = header.type == type_in;
    const std::uint64_t length =
        in ? chain.writable_bytes() - 1 : chain.readable_bytes() - sizeof(Header);
    const std::uint64_t capacity = info_.size / sector_size;
    if (length % sector_size != 0 || header.sector > capacity ||
        length / sector_size > capacity - header.sector ||
        (!in && info_.access == Access::read_only)) {
        return answer(chain, status_error);
    }
    Job& job = take_job(queue, chain);
    job.operation = in ? block::Operation::read : block::Operation::write;
    job.offset = header.sector * sector_size;
    job.length = length;
    const auto& buffers = in ? job.chain.writable : job.chain.readable;
    const std::uint64_t from = in ? 0 : sizeof(Header);
    const Access access = in ? Access::read_write : Access::read_only;
    if (!iovecs(host_->memory(), buffers, from, length, access, job.parts)) {
        std::swap(chain, job.chain);
        jobs_.give_back(job);
        return answer(chain, status_error);
    }
    disk_->submit(job);
    return std::nullopt;
}

Block::Written Block::flush(std::uint16_t queue, Chain& chain) {
    Job& job = take_job(queue, chain);
    job.operation = block::Operation::flush;
    job.offset = 0;
    job.length = 0;
    disk_->submit(job);
    return std::nullopt;
}

Block::Written Block::give_id(const Chain& chain) const {
    std::array<std::byte, id_size> id{};
    std::ranges::copy(std::as_bytes(std::span(options_.serial)), id.begin());
    const std::uint64_t length = std::min<std::uint64_t>(chain.writable_bytes() - 1, id.size());
    const auto done = write(host_->memory(), chain.writable, 0, std::span(id).first(length));
    return answer(chain, done ? status_ok : status_error);
}

Block::Written Block::change_range(std::uint16_t queue, Chain& chain, const Header& header) {
    const auto range = read_value<Range>(host_->memory(), chain, sizeof(Header));
    const bool discard = header.type == type_discard;
    if (!range || chain.readable_bytes() != sizeof(Header) + sizeof(Range)) {
        return answer(chain, status_error);  // no list, or a longer one than there may be
    }
    if ((range->flags & ~1U) != 0 || (discard && range->flags != 0)) {
        return answer(chain, status_unsupported);
    }
    const std::uint64_t capacity = info_.size / sector_size;
    if (range->sectors > (discard ? most_discard_sectors : most_zeroes_sectors) ||
        range->sector > capacity || range->sectors > capacity - range->sector ||
        info_.access == Access::read_only) {
        return answer(chain, status_error);
    }
    Job& job = take_job(queue, chain);
    job.operation = discard ? block::Operation::discard : block::Operation::write_zeroes;
    job.unmap = range->flags != 0 ? block::Unmap::yes : block::Unmap::no;
    job.offset = range->sector * sector_size;
    job.length = range->sectors * sector_size;
    disk_->submit(job);
    return std::nullopt;
}

Result<void> Block::put_status(const Chain& chain, std::uint8_t status) const {
    const std::byte byte{status};
    auto done = write(host_->memory(), chain.writable, chain.writable_bytes() - 1, {&byte, 1});
    if (!done) {
        return fail("a request's status is to go where it cannot: " + done.error().message,
                    done.error().code);
    }
    return {};
}

Block::Written Block::answer(const Chain& chain, std::uint8_t status) const {
    KVM_TRY(put_status(chain, status));
    // All bytes up to the status count; what was not written there is what the driver put there.
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(chain.writable_bytes(), ~0U));
}

Block::Job& Block::take_job(std::uint16_t queue, Chain& chain) {
    Job& job = jobs_.take();
    job.queue = queue;
    job.parts.clear();
    job.unmap = block::Unmap::no;
    const bool cached = (features_ & offer::flush) != 0 && writeback_;
    job.durability = cached ? block::Durability::cached : block::Durability::stored;
    std::swap(job.chain, chain);
    return job;
}

void Block::completed(std::span<block::Request* const> requests) {
    for (block::Request* const request : requests) {
        Job& job = static_cast<Job&>(*request);
        if (host_) {
            finish(job);
        }
        jobs_.give_back(job);
    }
    for (std::uint64_t used = std::exchange(used_, 0); host_ && used != 0; used &= used - 1) {
        host_->interrupt(static_cast<std::uint16_t>(std::countr_zero(used)));
    }
}

void Block::finish(Job& job) {
    Queue* const queue = host_->queue(job.queue);
    if (!queue) {
        return;  // disabled
    }
    if (job.operation == block::Operation::read) {
        mark_dirty(host_->memory(), job.chain.writable, 0, job.length);
    }
    const auto written = answer(job.chain, job.error == 0 ? status_ok : status_error);
    if (!written) {
        return host_->disable(written.error().message);
    }
    queue->push(job.chain, **written);
    used_ |= std::uint64_t{1} << job.queue;
}

}  // namespace vmm::virtio
