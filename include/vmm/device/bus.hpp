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
#include <vmm/log.hpp>

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

    /// Has the first access of each address said, as info: "no device at port 0x70: written".
    /// Before the others; `what` is "no device at port".
    void tell(Log log, std::string_view what);

    void count_read(std::uint64_t address) { count(address, &Unhandled::reads); }
    void count_write(std::uint64_t address) { count(address, &Unhandled::writes); }
    /// In order of address: the first `capacity` addresses that came, and all others summed up as
    /// address ~0.
    std::vector<Unhandled> list() const;

private:
    void count(std::uint64_t address, std::uint64_t Unhandled::* kind);
    Unhandled& at(std::uint64_t address);

    Log log_;
    std::string what_;

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
/// counted. add() and add_movable() before the vCPUs run; the others from any thread.
class Bus {
public:
    /// A device that comes, moves and goes while vCPUs run.
    enum class Movable : std::size_t {};

    /// Puts `device` at the `size` bytes from `base`; it must outlive the bus's use. `name` is for
    /// messages. Errors: EINVAL (no bytes, or beyond the end of addresses), EEXIST (another
    /// device's).
    Result<void> add(std::uint64_t base, std::uint64_t size, BusDevice& device,
                     std::string_view name);
    /// A device that is nowhere yet.
    Movable add_movable(std::uint64_t size, BusDevice& device, std::string_view name);

    /// Puts it at `base`, from where it was or from nowhere. An access that is under way may yet
    /// come to where it was. Errors, and then it is nowhere: see add().
    Result<void> place(Movable device, std::uint64_t base);
    /// Takes it away; it is nowhere then.
    void take_away(Movable device);

    /// See UnhandledCounter::tell(). Before the vCPUs run.
    void tell(Log log, std::string_view what) { unhandled_.tell(std::move(log), what); }

    /// Fills `data` with what the device at `address` says.
    void read(std::uint64_t address, std::span<std::byte> data);
    /// Gives `data` to the device at `address`.
    void write(std::uint64_t address, std::span<const std::byte> data);

    /// How much each device was used, in order of address; those that are nowhere come last, their
    /// base all-ones.
    std::vector<BusUsage> usage() const;
    /// Where nothing was: see UnhandledCounter::list().
    std::vector<Unhandled> unhandled() const { return unhandled_.list(); }

private:
    static constexpr std::uint64_t nowhere = ~std::uint64_t{0};
    struct Entry {
        std::uint64_t base;
        std::uint64_t size;
        BusDevice* device;
        std::string name;
        std::atomic<std::uint64_t> reads = 0;
        std::atomic<std::uint64_t> writes = 0;
    };
    /// What is at an address: read without a lock, so each field is atomic, and sequence_ tells
    /// whether they belong together.
    struct Place {
        std::atomic<std::uint64_t> base = 0;
        std::atomic<std::uint64_t> last = 0;
        std::atomic<Entry*> entry = nullptr;
    };
    struct Found {
        Entry* entry = nullptr;
        std::uint64_t base = 0;
        std::uint64_t last = 0;
    };
    Found find(std::uint64_t address) const;
    Found search(std::uint64_t address) const;
    /// With mutex_ held.
    Result<void> check(const Entry& entry, std::uint64_t base) const;
    void publish();
    Entry& append(std::uint64_t size, BusDevice& device, std::string_view name);

    mutable std::mutex mutex_;                     // of entries and their bases, and who publishes
    std::vector<std::unique_ptr<Entry>> entries_;  // in the order of add()
    std::unique_ptr<Place[]> places_;              // as many, of which the first count_ are used:
    std::atomic<std::size_t> count_ = 0;           // in order of address, disjoint
    std::atomic<std::uint32_t> sequence_ = 0;      // odd while places_ change
    UnhandledCounter unhandled_;
};

}  // namespace vmm
