// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>
#include <vmm/block/disk.hpp>
#include <vmm/block/pool.hpp>
#include <vmm/virtio/device.hpp>

namespace vmm::virtio {

/// virtio-blk, virtio 1.2, 5.2: a disk for the guest.
class Block final : public Device, private block::Client {
public:
    struct Options {
        std::string serial{};      ///< at most 20 bytes
        std::uint16_t queues = 1;  ///< 1 to 64
        std::uint16_t queue_size = 256;
    };

    /// The disk is on the reactor of the transport. Errors: EINVAL (a serial that is too long, too
    /// many queues), EMFILE.
    static Result<std::unique_ptr<Block>> create(std::unique_ptr<block::Disk> disk,
                                                 const Options& options, Reactor& reactor);
    ~Block() override;

    DeviceType type() const override { return DeviceType::block; }
    std::string_view name() const override { return disk_->name(); }
    std::uint64_t features() const override;
    std::span<const std::uint16_t> queue_sizes() const override { return queue_sizes_; }
    void read_config(std::uint64_t offset, std::span<std::byte> data) const override;
    void write_config(std::uint64_t offset, std::span<const std::byte> data) override;
    Result<void> activate(Host& host, std::uint64_t features) override;
    void notified(std::uint16_t queue) override;
    void reset() override;
    std::vector<std::byte> save() override;
    Result<void> restore(std::span<const std::byte> bytes) override;
    std::vector<Statistic> statistics() const override {
        return block::statistics(disk_->counters());
    }

private:
    struct Job;
    struct Header;

    Block(std::unique_ptr<block::Disk> disk, const Options& options);
    using Written = Result<std::optional<std::uint32_t>>;
    Written handle(std::uint16_t queue, Chain& chain);
    Written transfer(std::uint16_t queue, Chain& chain, const Header& header);
    Written flush(std::uint16_t queue, Chain& chain);
    Written give_id(const Chain& chain) const;
    Written change_range(std::uint16_t queue, Chain& chain, const Header& header);
    /// Answers without the disk.
    Written answer(const Chain& chain, std::uint8_t status) const;
    Result<void> put_status(const Chain& chain, std::uint8_t status) const;
    Job& take_job(std::uint16_t queue, Chain& chain);
    void completed(std::span<block::Request* const> requests) override;
    void finish(Job& job);

    std::unique_ptr<block::Disk> disk_;
    block::DiskInfo info_;
    Options options_;
    std::vector<std::uint16_t> queue_sizes_;
    std::optional<Reactor::Timer> again_;  // always, once created
    Host* host_ = nullptr;                 // while active
    std::uint64_t features_ = 0;           // agreed upon
    bool writeback_ = true;                // the configuration's
    std::uint64_t more_ = 0;               // queues that were not served to the end
    std::uint64_t used_ = 0;               // queues with chains that were used
    Chain chain_;
    block::Pool<Job> jobs_;
};

}  // namespace vmm::virtio
