// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/block/disk.hpp>

namespace vmm::block {

namespace {

using Step = Request::Progress::Step;

constexpr std::size_t most_parts = 1024;  // IOV_MAX
constexpr std::uint8_t most_tries = 16;

constexpr int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
constexpr int zero = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

/// What is written as zeroes where the host has no better way; aligned for O_DIRECT.
constexpr std::size_t zeroes_size = 64 << 10;
constexpr std::size_t zeroes_parts = 16;
alignas(4096) std::array<std::byte, zeroes_size> zeroes{};  // never written to

constexpr std::string_view cut_short = "the image was cut short";

const char* describe(Operation operation) {
    switch (operation) {
        case Operation::read:
            return "read";
        case Operation::write:
            return "write";
        case Operation::flush:
            return "flush";
        case Operation::discard:
            return "discard";
        case Operation::write_zeroes:
            return "write of zeroes";
    }
    return "";
}

bool is_unsupported(int error) { return error == EOPNOTSUPP || error == ENOSYS; }

/// What a call may be repeated after: io_uring cancels what a thread began that ends.
bool is_transient(int error) { return error == EINTR || error == EAGAIN || error == ECANCELED; }

/// Takes `n` bytes away from the front of the parts from `first` on.
void consume(std::vector<iovec>& parts, std::size_t& first, std::uint64_t n) {
    while (n > 0) {
        iovec& part = parts[first];
        if (n < part.iov_len) {
            part.iov_base = static_cast<std::byte*>(part.iov_base) + n;
            part.iov_len -= n;
            return;
        }
        n -= part.iov_len;
        ++first;
    }
}

void count(DiskCounters& counters, const Request& request) {
    switch (request.operation) {
        case Operation::read:
            ++counters.reads;
            counters.read_bytes += request.error ? 0 : request.length;
            break;
        case Operation::write:
            ++counters.writes;
            counters.written_bytes += request.error ? 0 : request.length;
            break;
        case Operation::flush:
            ++counters.flushes;
            break;
        case Operation::discard:
        case Operation::write_zeroes:
            ++counters.others;
            break;
    }
    counters.errors += request.error ? 1 : 0;
}

}  // namespace

std::vector<Statistic> statistics(const DiskCounters& counters) {
    return {
        {"reads", counters.reads},     {"read-bytes", counters.read_bytes},
        {"writes", counters.writes},   {"written-bytes", counters.written_bytes},
        {"flushes", counters.flushes}, {"discards-and-zeroes", counters.others},
        {"errors", counters.errors},
    };
}

Result<void> Disk::register_memory(std::span<const std::span<std::byte>> /*memory*/) {
    return fail(std::string(name()) + ": has no registered memory", EOPNOTSUPP);
}

FileDisk::FileDisk(Image image, std::unique_ptr<Engine> engine, Log log)
    : image_(std::move(image)), name_("disk " + image_.path()), log_(std::move(log)),
      engine_(std::move(engine)) {}

Result<std::unique_ptr<FileDisk>> FileDisk::create(Image image, std::unique_ptr<Engine> engine,
                                                   Reactor& reactor, Log log) {
    std::unique_ptr<FileDisk> disk(
        new FileDisk(std::move(image), std::move(engine), std::move(log)));
    const auto ready = [raw = disk.get()](kvm::Flags<Ready>) {
        raw->collect();
        raw->report();
    };
    disk->watch_ = KVM_TRY(reactor.watch(disk->engine_->event(), Ready::read, ready));
    if (disk->image_.is_block_device() && disk->image_.access() == Access::read_write) {
        disk->blocking_ = KVM_TRY(create_thread_engine(1));
        disk->blocking_watch_ =
            KVM_TRY(reactor.watch(disk->blocking_->event(), Ready::read, ready));
    }
    return disk;
}

FileDisk::~FileDisk() {
    // io_uring lets go of files only a while after its end.
    image_.unlock();
}

DiskInfo FileDisk::info() const {
    return {.size = image_.size(), .block_size = image_.block_size(), .access = image_.access()};
}

int FileDisk::refusal(const Request& request, const DiskInfo& info) {
    if (request.offset > info.size || request.length > info.size - request.offset) {
        return EINVAL;
    }
    const bool changes =
        request.operation != Operation::read && request.operation != Operation::flush;
    return changes && info.access == Access::read_only ? EROFS : 0;
}

void FileDisk::submit(Request& request) {
    request.progress = {};
    request.progress.task.request = &request;
    request.error = refusal(request, info());
    const bool nothing = request.length == 0 && request.operation != Operation::flush;
    if (request.error != 0 || nothing) {
        completed_.push_back(&request);
        return;
    }
    ++in_flight_;
    begin(request);
}

void FileDisk::begin(Request& request) {
    switch (request.operation) {
        case Operation::read:
            return transfer(request, Task::Call::read);
        case Operation::write:
            return transfer(request, Task::Call::write);
        case Operation::flush:
            return sync(request);
        case Operation::discard:
            return discard(request);
        case Operation::write_zeroes:
            if (request.unmap == Unmap::yes && can_punch_) {
                return allocate(request, punch);
            }
            return can_zero_ ? allocate(request, zero) : fill(request);
    }
}

void FileDisk::transfer(Request& request, Task::Call call) {
    Task& task = request.progress.task;
    const auto rest = std::span<const iovec>(request.parts).subspan(request.progress.first);
    task.call = call;
    task.parts = rest.first(std::min(rest.size(), most_parts));
    task.offset = request.offset + request.progress.done;
    task.durability = request.durability;
    const bool direct = image_.direct_file() && fits_direct(request, task.parts);
    task.file = direct ? image_.direct_file()->number() : image_.file().number();
    send(request);
}

bool FileDisk::fits_direct(const Request& request, std::span<const iovec> parts) const {
    const std::uint64_t length = image_.direct_offset_align();
    const std::uint64_t memory = image_.direct_memory_align();
    return !request.progress.buffered && request.progress.task.offset % length == 0 &&
           std::ranges::all_of(parts, [&](const iovec& part) {
               return part.iov_len % length == 0 &&
                      reinterpret_cast<std::uintptr_t>(part.iov_base) % memory == 0;
           });
}

void FileDisk::allocate(Request& request, int mode) {
    Task& task = request.progress.task;
    request.progress.step = Step::allocate;
    task.call = Task::Call::allocate;
    task.file = image_.file().number();
    task.mode = mode;
    task.offset = request.offset;
    task.length = request.length;
    send(request);
}

void FileDisk::discard(Request& request) {
    if (!can_punch_) {
        return done(request);
    }
    if (!blocking_) {
        return allocate(request, punch);
    }
    Task& task = request.progress.task;
    request.progress.step = Step::allocate;
    task.call = Task::Call::discard;
    task.file = image_.file().number();
    task.offset = request.offset;
    task.length = request.length;
    send(request);
}

void FileDisk::fill(Request& request) {
    request.progress.step = Step::fill;
    request.progress.first = 0;
    request.parts.clear();
    std::uint64_t rest = request.length - request.progress.done;
    while (rest > 0 && request.parts.size() < zeroes_parts) {
        const std::uint64_t n = std::min<std::uint64_t>(rest, zeroes_size);
        request.parts.push_back({zeroes.data(), n});
        rest -= n;
    }
    transfer(request, Task::Call::write);
}

void FileDisk::sync(Request& request) {
    if (lost_ != 0) {
        return failed(request, lost_);
    }
    request.progress.step = Step::sync;
    request.progress.task.call = Task::Call::sync;
    request.progress.task.file = image_.file().number();
    send(request);
}

void FileDisk::send(Request& request) {
    Task& task = request.progress.task;
    if (task.call == Task::Call::discard) {
        ++blocking_in_flight_;
        blocking_->submit(task);
    } else {
        engine_->submit(task);
    }
}

void FileDisk::finished(Task& task) {
    Request& request = *task.request;
    const int error = task.result < 0 ? static_cast<int>(-task.result) : 0;
    if (is_transient(error) && ++request.progress.tries <= most_tries) {
        return send(request);
    }
    switch (request.progress.step) {
        case Step::transfer:
        case Step::fill:
            return transferred(request, task.result);
        case Step::allocate:
            return allocated(request, error);
        case Step::sync:
            if (error != 0) {
                return failed_for_good(request, error);
            }
            if (!image_.is_whole()) {
                return failed_for_good(request, EIO, cut_short);
            }
            return done(request);
    }
}

void FileDisk::transferred(Request& request, std::int64_t result) {
    Request::Progress& progress = request.progress;
    const bool direct = progress.task.file != image_.file().number();
    if (result == -EINVAL && direct) {
        progress.buffered = true;
        return transfer(request, progress.task.call);
    }
    if (result == 0) {
        return failed_for_good(request, EIO, cut_short);
    }
    if (result < 0) {
        const int error = static_cast<int>(-result);
        // It may have told what became of earlier writes.
        const bool synced =
            progress.task.call == Task::Call::write && request.durability == Durability::stored;
        return synced && error == EIO ? failed_for_good(request, error) : failed(request, error);
    }
    progress.done += static_cast<std::uint64_t>(result);
    progress.tries = 0;
    if (progress.done >= request.length) {
        return done(request);
    }
    if (progress.step == Step::fill) {
        return fill(request);
    }
    consume(request.parts, progress.first, static_cast<std::uint64_t>(result));
    transfer(request, progress.task.call);
}

void FileDisk::allocated(Request& request, int error) {
    const int mode = request.progress.task.mode;
    if (is_unsupported(error)) {
        (mode == zero ? can_zero_ : can_punch_) = false;
    }
    const bool another_way = is_unsupported(error) || error == EINVAL;
    if (error != 0 && !another_way) {
        return failed(request, error);
    }
    if (request.operation == Operation::write_zeroes && error != 0) {
        return mode == punch && can_zero_ ? allocate(request, zero) : fill(request);
    }
    if (request.durability == Durability::stored && error == 0) {
        return sync(request);
    }
    done(request);
}

void FileDisk::done(Request& request) {
    --in_flight_;
    count(counters_, request);
    completed_.push_back(&request);
}

void FileDisk::failed(Request& request, int error, std::string_view why) {
    request.error = error;
    if (logged_.emplace(request.operation, error).second) {
        log_.warn(name_, fmt::format("{} at {}: {}", describe(request.operation), request.offset,
                                     why.empty() ? ::strerrordesc_np(error) : why));
    }
    done(request);
}

/// The host tells once that it could not store what was written before, and forgets it: a flush
/// that succeeds later would say that it is stored.
void FileDisk::failed_for_good(Request& request, int error, std::string_view why) {
    const bool first = lost_ == 0;
    lost_ = first ? error : lost_;
    failed(request, error, why);
    if (first) {
        log_.warn(name_, "written data may be lost: each flush fails from now on");
    }
}

void FileDisk::kick() {
    engine_->start();
    if (!reporting_) {
        collect();
        report();
    }
}

void FileDisk::drain(Waiting /*waiting*/) {
    for (;;) {
        collect();
        report();
        if (in_flight_ == 0) {
            return;
        }
        (blocking_in_flight_ > 0 ? blocking_ : engine_)->wait();
    }
}

void FileDisk::collect() {
    engine_->collect(tasks_);
    if (blocking_) {
        const std::size_t others = tasks_.size();
        blocking_->collect(tasks_);
        blocking_in_flight_ -= tasks_.size() - others;
    }
    for (Task* const task : tasks_) {
        finished(*task);
    }
    tasks_.clear();
    engine_->start();
}

void FileDisk::report() {
    const bool outer = std::exchange(reporting_, true);
    while (!completed_.empty()) {
        std::vector<Request*> batch = std::exchange(completed_, std::move(spare_));
        if (client_) {
            client_->completed(batch);
        }
        batch.clear();
        spare_ = std::move(batch);
    }
    reporting_ = outer;
}

Result<void> FileDisk::register_memory(std::span<const std::span<std::byte>> memory) {
    return engine_->register_memory(memory);
}

}  // namespace vmm::block
