// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <fcntl.h>
#include <kvm/try.hpp>
#include <linux/fs.h>
#include <mutex>
#include <pthread.h>
#include <sys/ioctl.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vmm/block/engine.hpp>

namespace vmm::block {

namespace {

std::int64_t call(const Task& task) {
    const auto offset = static_cast<off_t>(task.offset);
    const int count = static_cast<int>(task.parts.size());
    switch (task.call) {
        case Task::Call::read:
            return ::preadv(task.file, task.parts.data(), count, offset);
        case Task::Call::write:
            return ::pwritev2(task.file, task.parts.data(), count, offset,
                              task.durability == Durability::stored ? RWF_DSYNC : 0);
        case Task::Call::sync:
            return ::fdatasync(task.file);
        case Task::Call::allocate:
            return ::fallocate(task.file, task.mode, offset, static_cast<off_t>(task.length));
        case Task::Call::discard: {
            std::uint64_t range[2] = {task.offset, task.length};
            return ::ioctl(task.file, BLKDISCARD, range);
        }
    }
    return 0;
}

class ThreadEngine final : public Engine {
public:
    ThreadEngine(kvm::EventFd event, std::uint32_t most)
        : event_(std::move(event)), most_threads_(most) {}

    ~ThreadEngine() override {
        {
            const std::lock_guard lock(mutex_);
            ending_ = true;
        }
        work_.notify_all();
        for (std::thread& thread : threads_) {
            thread.join();
        }
    }

    std::string_view name() const override { return "threads"; }

    void submit(Task& task) override {
        bool busy = false;
        {
            const std::lock_guard lock(mutex_);
            todo_.push_back(&task);
            busy = todo_.size() > idle_;
        }
        if (busy && threads_.size() < most_threads_) {
            add_thread();
        }
        if (threads_.empty()) {  // there can be none: then here
            std::unique_lock lock(mutex_);
            one(lock);
        } else {
            work_.notify_one();
        }
    }

    void start() override {}

    void collect(std::vector<Task*>& finished) override {
        const std::lock_guard lock(mutex_);
        if (!finished_.empty()) {
            (void)event_.read();  // nonblock
        }
        finished.insert(finished.end(), finished_.begin(), finished_.end());
        finished_.clear();
    }

    void wait() override {
        std::unique_lock lock(mutex_);
        some_finished_.wait(lock, [&] { return !finished_.empty(); });
    }

    kvm::FdRef event() const override { return event_; }

private:
    /// If the host has no more threads, those there are do the work.
    void add_thread() {
        sigset_t all;
        sigset_t old;
        sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &old);  // signals are for other threads
        try {
            threads_.emplace_back([this] { run(); });
        } catch (const std::system_error&) {
        }
        ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
    }

    void run() {
        (void)::pthread_setname_np(::pthread_self(), "disk");
        std::unique_lock lock(mutex_);
        for (;;) {
            ++idle_;
            work_.wait(lock, [&] { return !todo_.empty() || ending_; });
            --idle_;
            if (todo_.empty()) {
                return;
            }
            one(lock);
        }
    }

    /// Does the first task, without the lock.
    void one(std::unique_lock<std::mutex>& lock) {
        Task& task = *todo_.front();
        todo_.pop_front();
        lock.unlock();
        const std::int64_t result = call(task);
        task.result = result < 0 ? -errno : result;
        lock.lock();
        finished_.push_back(&task);
        if (finished_.size() == 1) {
            (void)event_.write();
        }
        some_finished_.notify_one();
    }

    kvm::EventFd event_;
    const std::uint32_t most_threads_;
    std::vector<std::thread> threads_;
    std::mutex mutex_;  // of what follows
    std::condition_variable work_;
    std::condition_variable some_finished_;
    std::deque<Task*> todo_;
    std::vector<Task*> finished_;
    std::size_t idle_ = 0;
    bool ending_ = false;
};

}  // namespace

Result<void> Engine::register_memory(std::span<const std::span<std::byte>> /*memory*/) {
    return fail(std::string(name()) + ": has no registered memory", EOPNOTSUPP);
}

Result<std::unique_ptr<Engine>> create_thread_engine(std::uint32_t threads) {
    auto event = KVM_TRY(kvm::EventFd::create(0, kvm::EventFdFlag::nonblock));
    return std::make_unique<ThreadEngine>(std::move(event), threads);
}

Result<std::unique_ptr<Engine>> create_engine(EngineKind kind) {
    if (kind == EngineKind::threads) {
        return create_thread_engine();
    }
    auto uring = create_uring_engine();
    const bool refused = !uring && (uring.error().code == ENOSYS || uring.error().code == EPERM ||
                                    uring.error().code == ENOMEM);
    if (kind == EngineKind::automatic && refused) {
        return create_thread_engine();
    }
    return uring;
}

}  // namespace vmm::block
