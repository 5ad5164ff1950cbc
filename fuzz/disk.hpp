// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include "records.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vmm/block/disk.hpp>

/// What fuzz targets of disks' devices have in common.
namespace vmm::fuzz {

inline constexpr std::uint64_t ram = 1 << 20;
inline constexpr std::uint64_t disk_size = 64 << 10;

/// Does at once what it is asked for: each run is the same.
class DirectEngine final : public block::Engine {
public:
    std::string_view name() const override { return "direct"; }
    void submit(block::Task& task) override {
        using enum block::Task::Call;
        const auto offset = static_cast<off_t>(task.offset);
        const auto count = static_cast<int>(task.parts.size());
        if (task.offset > disk_size) {
            fail_now("a call beyond the disk\n");
        }
        task.result = task.call == read    ? ::preadv(task.file, task.parts.data(), count, offset)
                      : task.call == write ? ::pwritev(task.file, task.parts.data(), count, offset)
                      : task.call == allocate ? ::fallocate(task.file, task.mode, offset,
                                                            static_cast<off_t>(task.length))
                                              : 0;
        if (task.result < 0) {
            if (task.call != allocate) {  // of which a memfd has but some kinds
                fail_now("a call that the host refuses\n");
            }
            task.result = -errno;
        }
        finished_.push_back(&task);
    }
    void start() override {}
    void collect(std::vector<block::Task*>& finished) override {
        finished.insert(finished.end(), finished_.begin(), finished_.end());
        finished_.clear();
    }
    void wait() override {}
    kvm::FdRef event() const override { return event_; }

private:
    kvm::EventFd event_ = *kvm::EventFd::create(0, kvm::EventFdFlag::nonblock);
    std::vector<block::Task*> finished_;
};

/// A file for each access: a disk locks its own.
inline const std::string& image_path(Access access) {
    const auto make = [] { return "/proc/self/fd/" + std::to_string(::memfd_create("disk", 0)); };
    static const std::array paths{make(), make()};
    return paths[access == Access::read_only];
}

/// A disk of disk_size bytes, which are what the last one left.
inline std::unique_ptr<block::Disk> make_disk(Reactor& reactor, Access access) {
    if (::truncate(image_path(access).c_str(), disk_size) != 0) {
        fail_now("no image\n");
    }
    auto image = check(block::Image::open({image_path(access), access}));
    return check(
        block::FileDisk::create(std::move(image), std::make_unique<DirectEngine>(), reactor, {}));
}

}  // namespace vmm::fuzz
