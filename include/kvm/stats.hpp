// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/memory.hpp>
#include <kvm/fd.hpp>
#include <span>

namespace kvm {

/// One statistic: what it is called and how to read its values.
struct StatsDesc {
    const char* name;  // as long as the Stats lives
    StatsType type;
    StatsUnit unit;
    StatsBase base;
    int exponent;
    u32 size;         // how many values: the buckets of a histogram, else 1
    u32 bucket_size;  // of a linear histogram, in the value's unit
    u32 offset;       // bytes into the data block, checked
};

/// A VM's or vCPU's statistics: Vm::stats(), Vcpu::stats(). The kernel describes them, so nothing
/// here knows their names beforehand. Move-only. KVM_GET_STATS_FD.
class Stats {
public:
    /// Reads and checks the descriptors behind `fd`. Errors: EPROTO (they contradict each other),
    /// ENOMEM, EIO (cut short).
    static Result<Stats> open(Fd fd);

    Stats(Stats&& other) noexcept;
    Stats& operator=(Stats&& other) noexcept;
    ~Stats();

    /// The kernel's name of the object: "kvm-1234", "kvm-1234/vcpu-0".
    const char* id() const { return id_; }
    /// All statistics, in the kernel's order.
    std::span<const StatsDesc> descriptors() const { return {descs_, count_}; }
    /// The descriptor called `name`, or null.
    const StatsDesc* find(const char* name) const;
    /// Reads all values as they are now, with one system call. Errors: EIO (cut short).
    Result<void> update();
    /// The values of `desc`, one of descriptors(), as the last update() found them; zeroes before.
    std::span<const u64> values(const StatsDesc& desc) const {
        return {data_ + desc.offset / sizeof(u64), desc.size};
    }

private:
    explicit Stats(Fd fd) : fd_(static_cast<Fd&&>(fd)) {}
    Result<void> load();
    void swap(Stats& other) noexcept;

    Fd fd_;
    char* id_ = nullptr;  // the id, then the names
    StatsDesc* descs_ = nullptr;
    std::size_t count_ = 0;
    u64* data_ = nullptr;
    std::size_t words_ = 0;
    u32 data_offset_ = 0;
};

}  // namespace kvm
