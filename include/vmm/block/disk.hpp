// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <vmm/block/engine.hpp>
#include <vmm/block/image.hpp>
#include <vmm/device/rate_limit.hpp>
#include <vmm/device/reactor.hpp>
#include <vmm/log.hpp>
#include <vmm/statistic.hpp>

namespace vmm::block {

enum class Operation : std::uint8_t {
    read,
    write,
    flush,         ///< what was written before is then on the storage
    discard,       ///< nobody needs these bytes: a hint
    write_zeroes,  ///< without data
};

/// Whether zeroes may give their storage back to the host.
enum class Unmap : std::uint8_t { no, yes };

/// What a device wants of its disk. The disk has it from submit() until it is completed; devices
/// derive theirs from it.
struct Request {
    Operation operation = Operation::read;
    Durability durability = Durability::cached;  ///< of all that changes the disk
    Unmap unmap = Unmap::no;
    std::uint64_t offset = 0;  ///< bytes; what is not within the disk is EINVAL
    std::uint64_t length = 0;  ///< bytes; of a flush 0
    std::vector<iovec> parts;  ///< read, write: memory, `length` in all; used up by the disk
    int error = 0;             ///< when it is completed: an errno, or 0

    /// The disk's own: how far it is.
    struct Progress {
        enum class Step : std::uint8_t { transfer, allocate, fill, sync };
        Step step = Step::transfer;
        bool buffered = false;   // O_DIRECT refused it
        std::uint8_t tries = 0;  // of a call that may be repeated
        std::size_t first = 0;   // of parts, that is not done
        std::uint64_t done = 0;  // bytes
        Task task{};
    } progress{};
};

/// Who gives requests to a disk.
class Client {
public:
    /// These are done. On the reactor, from the disk's own events, kick() or drain(), never from
    /// submit(). They may be submitted again, and others.
    virtual void completed(std::span<Request* const> requests) = 0;

protected:
    ~Client() = default;
};

struct DiskInfo {
    std::uint64_t size = 0;          ///< bytes, a multiple of 512
    std::uint32_t block_size = 512;  ///< what reads and writes should be multiples of
    Access access = Access::read_write;
};

/// What a disk has done since it was made; requests outside of it are refused, and count nothing.
struct DiskCounters {
    std::uint64_t reads = 0, read_bytes = 0;
    std::uint64_t writes = 0, written_bytes = 0;
    std::uint64_t flushes = 0;
    std::uint64_t others = 0;  ///< discards and writes of zeroes
    std::uint64_t errors = 0;  ///< of the above, those that failed

    friend bool operator==(const DiskCounters&, const DiskCounters&) = default;
};

/// For reports: "reads", "read-bytes", and so on.
std::vector<Statistic> statistics(const DiskCounters& counters);

/// Something to read and write blocks. All on its reactor.
class Disk {
public:
    Disk() = default;
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;
    /// With nothing in flight: after drain().
    virtual ~Disk() = default;

    /// For messages: "disk root.img".
    virtual std::string_view name() const = 0;
    virtual DiskInfo info() const = 0;
    virtual DiskCounters counters() const { return {}; }
    /// Whom to tell; null: nobody, and then nothing may be in flight.
    virtual void set_client(Client* client) = 0;

    /// Takes a request. It begins at kick() at the latest, with all others, in any order.
    virtual void submit(Request& request) = 0;
    virtual void kick() = 0;

    /// What has not begun, because of a limit.
    enum class Waiting : std::uint8_t {
        finish,  ///< is done now all the same
        cancel,  ///< is completed with ECANCELED
    };
    /// Waits for all that is in flight; it is completed before this returns.
    virtual void drain(Waiting waiting) = 0;

    /// See Engine::register_memory().
    virtual Result<void> register_memory(std::span<const std::span<std::byte>> memory);
};

/// A raw image behind an engine. Short reads and writes are continued; what ends early is an error
/// of the request (EIO), as is what the host says; each kind of error is logged once. Once a flush
/// has failed, or the image was found cut short, each flush fails: fdatasync(2) tells once that
/// written data is lost.
class FileDisk final : public Disk {
public:
    /// Errors: EMFILE, ENOMEM, ENOSPC.
    static Result<std::unique_ptr<FileDisk>> create(Image image, std::unique_ptr<Engine> engine,
                                                    Reactor& reactor, Log log);
    ~FileDisk() override;

    std::string_view name() const override { return name_; }
    DiskInfo info() const override;
    DiskCounters counters() const override { return counters_; }
    void set_client(Client* client) override { client_ = client; }
    void submit(Request& request) override;
    void kick() override;
    void drain(Waiting waiting) override;
    Result<void> register_memory(std::span<const std::span<std::byte>> memory) override;

    const Engine& engine() const { return *engine_; }

private:
    FileDisk(Image image, std::unique_ptr<Engine> engine, Log log);
    static int refusal(const Request& request, const DiskInfo& info);
    void begin(Request& request);
    void transfer(Request& request, Task::Call call);
    void allocate(Request& request, int mode);
    void fill(Request& request);
    void sync(Request& request);
    void discard(Request& request);
    bool fits_direct(const Request& request, std::span<const iovec> parts) const;
    void send(Request& request);
    void finished(Task& task);
    void transferred(Request& request, std::int64_t result);
    void allocated(Request& request, int error);
    void done(Request& request);
    void failed(Request& request, int error, std::string_view why = {});
    void failed_for_good(Request& request, int error, std::string_view why = {});
    void collect();
    void report();

    Image image_;
    std::string name_;
    Log log_;
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<Engine> blocking_;  // for BLKDISCARD, or null
    Client* client_ = nullptr;
    std::size_t in_flight_ = 0;           // requests
    std::size_t blocking_in_flight_ = 0;  // tasks of blocking_
    DiskCounters counters_;
    bool reporting_ = false;
    bool can_punch_ = true;  // until the file system says no
    bool can_zero_ = true;
    int lost_ = 0;                     // why flushes fail: what was written may not be stored
    std::vector<Task*> tasks_;         // finished
    std::vector<Request*> completed_;  // and not yet reported
    std::vector<Request*> spare_;      // memory for the next completed_
    std::set<std::pair<Operation, int>> logged_;
    Reactor::Watch watch_;
    Reactor::Watch blocking_watch_;
};

/// A disk that does so much in a second, and what is beyond it later.
class LimitedDisk final : public Disk {
public:
    /// Errors: EMFILE.
    static Result<std::unique_ptr<LimitedDisk>> create(std::unique_ptr<Disk> disk,
                                                       const RateLimits& limits, Reactor& reactor);

    std::string_view name() const override { return disk_->name(); }
    DiskInfo info() const override { return disk_->info(); }
    DiskCounters counters() const override { return disk_->counters(); }
    void set_client(Client* client) override;
    void submit(Request& request) override;
    void kick() override { disk_->kick(); }
    void drain(Waiting waiting) override;
    Result<void> register_memory(std::span<const std::span<std::byte>> memory) override {
        return disk_->register_memory(memory);
    }

private:
    explicit LimitedDisk(std::unique_ptr<Disk> disk) : disk_(std::move(disk)) {}
    void again();

    std::unique_ptr<Disk> disk_;
    Client* client_ = nullptr;
    std::deque<Request*> waiting_;
    std::optional<RateLimiter> limiter_;  // always, once created
};

/// A disk of an image that is open, with its engine and limits. Errors begin with the image's path.
Result<std::unique_ptr<Disk>> create_disk(Image image, EngineKind engine, const RateLimits& limits,
                                          Reactor& reactor, Log log);

}  // namespace vmm::block
