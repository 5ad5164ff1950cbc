// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <kvm/fd.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <sys/uio.h>
#include <vector>
#include <vmm/error.hpp>

namespace vmm::block {

struct Request;

/// Whether a write is done once the host's kernel has it, or once it is on the storage.
enum class Durability : std::uint8_t { cached, stored };

/// One system call on an image. It and its parts stay where they are until it is finished.
struct Task {
    enum class Call : std::uint8_t {
        read,      // preadv2(2)
        write,     // pwritev2(2)
        sync,      // fdatasync(2)
        allocate,  // fallocate(2)
        discard,   // BLKDISCARD
    };

    Call call = Call::read;
    Durability durability = Durability::cached;  ///< of a write: RWF_DSYNC
    int file = -1;                               ///< the descriptor
    int mode = 0;                                ///< fallocate(2)'s
    std::uint64_t offset = 0;
    std::uint64_t length = 0;        ///< allocate, discard
    std::span<const iovec> parts{};  ///< read, write: at most 1024
    std::int64_t result = 0;         ///< when it is finished: the call's, or an errno below 0
    Request* request = nullptr;      ///< whose it is: engines do not look
};

/// Makes tasks' system calls, many at a time and in any order. On a reactor.
class Engine {
public:
    Engine() = default;
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    /// With nothing in flight.
    virtual ~Engine() = default;

    /// "io_uring", "threads".
    virtual std::string_view name() const = 0;
    /// Takes a task; it may begin at once.
    virtual void submit(Task& task) = 0;
    /// Begins all that were submitted.
    virtual void start() = 0;
    /// Appends the tasks that are finished.
    virtual void collect(std::vector<Task*>& finished) = 0;
    /// Waits until collect() has something; with something in flight.
    virtual void wait() = 0;
    /// Ready to be read while collect() has something.
    virtual kvm::FdRef event() const = 0;

    /// Has the kernel keep these bytes of memory in reach, so that reads and writes there need not
    /// look them up: they are pinned, must be this memory until the engine ends, and what takes
    /// pages away from under them (a balloon) must not be used. Errors: ENOMEM (RLIMIT_MEMLOCK),
    /// EOPNOTSUPP.
    virtual Result<void> register_memory(std::span<const std::span<std::byte>> memory);
};

/// By io_uring. Errors: ENOSYS (the kernel, or this build, has none), EPERM (not allowed here),
/// EMFILE, ENOMEM.
Result<std::unique_ptr<Engine>> create_uring_engine();

/// By threads, up to `threads` of them, which begin when they are needed. Errors: EMFILE.
Result<std::unique_ptr<Engine>> create_thread_engine(std::uint32_t threads = 4);

/// Which one: automatic is io_uring, and where that is refused, threads.
enum class EngineKind : std::uint8_t { automatic, io_uring, threads };
Result<std::unique_ptr<Engine>> create_engine(EngineKind kind);

}  // namespace vmm::block
