// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <fmt/format.h>
#include <thread>
#include <vmm/block/engine.hpp>

#if KVMXX_LIBURING
#include <fcntl.h>
#include <liburing.h>
#endif

namespace vmm::block {

#if KVMXX_LIBURING

namespace {

constexpr unsigned ring_entries = 256;
constexpr unsigned most_files = 4;
/// The longest buffer that the kernel registers.
constexpr std::size_t longest_buffer = std::size_t(1) << 30;

class UringEngine final : public Engine {
public:
    static Result<std::unique_ptr<Engine>> create() {
        auto engine = std::make_unique<UringEngine>();
        io_uring_params parameters{};
        parameters.flags = IORING_SETUP_CLAMP;
        if (const int e = ::io_uring_queue_init_params(ring_entries, &engine->ring_, &parameters)) {
            return fail_errno("io_uring", -e);
        }
        engine->open_ = true;
        if ((parameters.features & IORING_FEAT_NODROP) == 0) {
            return fail("io_uring: this kernel's may lose completions", ENOSYS);
        }
        // Files are registered as they are met; without, each call looks its descriptor up.
        const std::array<int, most_files> none{-1, -1, -1, -1};
        engine->fixed_files_ =
            ::io_uring_register_files(&engine->ring_, none.data(), most_files) == 0;
        engine->files_.fill(-1);
        return engine;
    }

    ~UringEngine() override {
        if (open_) {
            ::io_uring_queue_exit(&ring_);
        }
    }

    std::string_view name() const override { return "io_uring"; }

    void submit(Task& task) override {
        io_uring_sqe& entry = next_entry();
        prepare(entry, task);
        ::io_uring_sqe_set_data(&entry, &task);
        if (const int file = fixed_file(task.file); file >= 0) {
            entry.fd = file;
            entry.flags |= IOSQE_FIXED_FILE;
        }
    }

    void start() override {
        while (::io_uring_sq_ready(&ring_) != 0) {
            const int sent = ::io_uring_submit(&ring_);
            if (sent > 0 || sent == -EINTR) {
                continue;
            }
            // EAGAIN, EBUSY: the kernel has no room for it until something is finished.
            if (!reap()) {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
        }
    }

    void collect(std::vector<Task*>& finished) override {
        (void)reap();
        finished.insert(finished.end(), finished_.begin(), finished_.end());
        finished_.clear();
    }

    void wait() override {
        start();
        while (finished_.empty() && !reap()) {
            io_uring_cqe* entry = nullptr;
            (void)::io_uring_wait_cqe(&ring_, &entry);  // EINTR: once more
        }
    }

    kvm::FdRef event() const override { return kvm::FdRef(ring_.ring_fd); }

    Result<void> register_memory(std::span<const std::span<std::byte>> memory) override {
        std::vector<iovec> buffers;
        for (std::span<std::byte> rest : memory) {
            while (!rest.empty()) {
                const std::size_t size = std::min(rest.size(), longest_buffer);
                buffers.push_back({rest.data(), size});
                rest = rest.subspan(size);
            }
        }
        if (const int e = ::io_uring_register_buffers(&ring_, buffers.data(),
                                                      static_cast<unsigned>(buffers.size()))) {
            return fail_errno("io_uring: memory cannot be registered", -e);
        }
        buffers_ = std::move(buffers);
        return {};
    }

private:
    io_uring_sqe& next_entry() {
        for (;;) {
            if (io_uring_sqe* const entry = ::io_uring_get_sqe(&ring_)) {
                return *entry;
            }
            start();
        }
    }

    void prepare(io_uring_sqe& entry, const Task& task) const {
        const auto count = static_cast<unsigned>(task.parts.size());
        switch (task.call) {
            case Task::Call::read:
            case Task::Call::write:
                prepare_transfer(entry, task, count);
                break;
            case Task::Call::sync:
                ::io_uring_prep_fsync(&entry, task.file, IORING_FSYNC_DATASYNC);
                break;
            case Task::Call::allocate:
                ::io_uring_prep_fallocate(&entry, task.file, task.mode,
                                          static_cast<off_t>(task.offset),
                                          static_cast<off_t>(task.length));
                break;
            case Task::Call::discard:  // no such call: FileDisk gives it to threads
                ::io_uring_prep_nop(&entry);
                break;
        }
    }

    void prepare_transfer(io_uring_sqe& entry, const Task& task, unsigned count) const {
        const bool write = task.call == Task::Call::write;
        const iovec& first = task.parts[0];
        const int buffer = count == 1 ? buffer_of(first) : -1;
        const auto length = static_cast<unsigned>(std::min<std::size_t>(first.iov_len, 1U << 30));
        if (count > 1) {
            write ? ::io_uring_prep_writev(&entry, task.file, task.parts.data(), count, task.offset)
                  : ::io_uring_prep_readv(&entry, task.file, task.parts.data(), count, task.offset);
        } else if (buffer < 0) {
            write ? ::io_uring_prep_write(&entry, task.file, first.iov_base, length, task.offset)
                  : ::io_uring_prep_read(&entry, task.file, first.iov_base, length, task.offset);
        } else {
            write ? ::io_uring_prep_write_fixed(&entry, task.file, first.iov_base, length,
                                                task.offset, buffer)
                  : ::io_uring_prep_read_fixed(&entry, task.file, first.iov_base, length,
                                               task.offset, buffer);
        }
        if (write && task.durability == Durability::stored) {
            entry.rw_flags = RWF_DSYNC;
        }
    }

    /// The registered buffer that has all of it, or -1.
    int buffer_of(const iovec& part) const {
        const auto start = reinterpret_cast<std::uintptr_t>(part.iov_base);
        for (std::size_t i = 0; i < buffers_.size(); ++i) {
            const auto offset = start - reinterpret_cast<std::uintptr_t>(buffers_[i].iov_base);
            if (offset < buffers_[i].iov_len && part.iov_len <= buffers_[i].iov_len - offset) {
                return static_cast<int>(i);
            }
        }
        return -1;
    }

    /// Where a descriptor is registered, or -1.
    int fixed_file(int file) {
        if (!fixed_files_) {
            return -1;
        }
        for (unsigned i = 0; i < most_files; ++i) {
            if (files_[i] == file) {
                return static_cast<int>(i);
            }
            if (files_[i] < 0) {
                if (::io_uring_register_files_update(&ring_, i, &file, 1) != 1) {
                    return -1;
                }
                files_[i] = file;
                return static_cast<int>(i);
            }
        }
        return -1;
    }

    /// Moves what is finished out of the ring, which has room again.
    bool reap() {
        std::array<io_uring_cqe*, 32> entries;
        bool some = false;
        for (;;) {
            const unsigned n = ::io_uring_peek_batch_cqe(&ring_, entries.data(),
                                                         static_cast<unsigned>(entries.size()));
            if (n == 0) {
                return some;
            }
            for (const io_uring_cqe* entry : std::span(entries).first(n)) {
                Task& task = *static_cast<Task*>(::io_uring_cqe_get_data(entry));
                task.result = entry->res;
                finished_.push_back(&task);
            }
            ::io_uring_cq_advance(&ring_, n);
            some = true;
        }
    }

    io_uring ring_{};
    bool open_ = false;
    bool fixed_files_ = false;
    std::array<int, most_files> files_{};  // registered descriptors, -1 behind the last
    std::vector<iovec> buffers_;           // registered memory
    std::vector<Task*> finished_;
};

}  // namespace

Result<std::unique_ptr<Engine>> create_uring_engine() { return UringEngine::create(); }

#else

Result<std::unique_ptr<Engine>> create_uring_engine() {
    return fail("io_uring: this build has no liburing", ENOSYS);
}

#endif

}  // namespace vmm::block
