// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <vmm/error.hpp>

/// Where the guest's port and memory-mapped I/O goes.
namespace vmm {

/// A device on a Bus. The guest is hostile: any offset within the range, any length and any value
/// may come. Called by the threads of all vCPUs, several at once.
class BusDevice {
public:
    BusDevice() = default;
    BusDevice(const BusDevice&) = delete;
    BusDevice& operator=(const BusDevice&) = delete;
    virtual ~BusDevice() = default;

    /// One read of `data.size()` bytes (1 to 8), `offset` bytes from the start of the device's
    /// range. What is not filled in is left as it was: all-ones.
    virtual void read(std::uint64_t offset, std::span<std::byte> data) = 0;
    /// One write of `data.size()` bytes (1 to 8), `offset` bytes from the start of the device's
    /// range.
    virtual void write(std::uint64_t offset, std::span<const std::byte> data) = 0;
};

/// A device whose registers are bytes, as on the ISA bus: a wider access is one access to each
/// register.
class ByteDevice : public BusDevice {
public:
    void read(std::uint64_t offset, std::span<std::byte> data) final;
    void write(std::uint64_t offset, std::span<const std::byte> data) final;

protected:
    virtual std::uint8_t read_byte(std::uint64_t offset) = 0;
    virtual void write_byte(std::uint64_t offset, std::uint8_t value) = 0;
};

/// Addresses that answer nothing and are not worth counting, such as the POST code port 0x80.
class Sink final : public BusDevice {
public:
    void read(std::uint64_t, std::span<std::byte>) override {}
    void write(std::uint64_t, std::span<const std::byte>) override {}
};

/// An address (or an MSR's number) at which the guest found nothing, and how often.
struct Unhandled {
    std::uint64_t address = 0;
    std::uint64_t reads = 0;
    std::uint64_t writes = 0;

    friend bool operator==(const Unhandled&, const Unhandled&) = default;
};

/// Counts accesses to where nothing is. Bounded, for the guest chooses the addresses. Any thread.
class UnhandledCounter {
public:
    /// How many addresses are told apart.
    static constexpr std::size_t capacity = 256;

    void count_read(std::uint64_t address);
    void count_write(std::uint64_t address);
    /// In order of address: the first `capacity` addresses that came, and all others summed up as
    /// address ~0.
    std::vector<Unhandled> list() const;

private:
    Unhandled& at(std::uint64_t address);

    mutable std::mutex mutex_;  // of what follows
    std::vector<Unhandled> counts_;
    Unhandled rest_{~std::uint64_t{0}, 0, 0};
};

/// What a device on a Bus was asked. An access of several bytes counts once.
struct BusUsage {
    std::string name;  ///< the device's, as add() got it
    std::uint64_t base = 0;
    std::uint64_t reads = 0;
    std::uint64_t writes = 0;

    friend bool operator==(const BusUsage&, const BusUsage&) = default;
};

/// An address space of devices: there is one for ports and one for memory-mapped I/O.
///
/// An access belongs to the device at its first byte; what reaches beyond the device's range is not
/// the next device's. Where nothing is, reads give all-ones and writes are dropped, and both are
/// counted. add() before the vCPUs run; the others from any thread.
class Bus {
public:
    /// Puts `device` at the `size` bytes from `base`; it must outlive the bus's use. `name` is for
    /// messages. Errors: EINVAL (no bytes, or beyond the end of addresses), EEXIST (another
    /// device's).
    Result<void> add(std::uint64_t base, std::uint64_t size, BusDevice& device,
                     std::string_view name);

    /// Fills `data` with what the device at `address` says.
    void read(std::uint64_t address, std::span<std::byte> data);
    /// Gives `data` to the device at `address`.
    void write(std::uint64_t address, std::span<const std::byte> data);

    /// How much each device was used, in order of address.
    std::vector<BusUsage> usage() const;
    /// Where nothing was: see UnhandledCounter::list().
    std::vector<Unhandled> unhandled() const { return unhandled_.list(); }

private:
    struct Counts {
        std::atomic<std::uint64_t> reads = 0;
        std::atomic<std::uint64_t> writes = 0;
    };
    struct Range {
        std::uint64_t base;
        std::uint64_t last;
        BusDevice* device;
        std::string name;
        std::unique_ptr<Counts> counts;
    };
    const Range* find(std::uint64_t address) const;

    std::vector<Range> ranges_;  // in order of address, disjoint
    UnhandledCounter unhandled_;
};

}  // namespace vmm
