// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <pthread.h>
#include <system_error>
#include <vmm/machine/core.hpp>

namespace vmm {

const char* describe(MachineState state) {
    switch (state) {
        case MachineState::created:
            return "created";
        case MachineState::running:
            return "running";
        case MachineState::paused:
            return "paused";
        case MachineState::ended:
            return "ended";
    }
    return "?";
}

namespace detail {

void Core::configure(const MachineConfig& config, MachineEvents events,
                     std::vector<std::string> notes) {
    timeout_ = config.timeout;
    grace_ = config.grace;
    affinity_ = config.cpu_affinity;
    events_ = std::move(events);
    notes_ = std::move(notes);
}

MachineState Core::state() const {
    const std::lock_guard lock(mutex_);
    return state_;
}

void Core::set_state(MachineState state) {
    {
        const std::lock_guard lock(mutex_);
        state_ = state;
    }
    changed_.notify_all();
    if (state != MachineState::ended) {  // of which live() says more
        events_.log.info("machine", describe(state));
    }
    event_thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    if (events_.state) {
        events_.state(state);
    }
    if (state == MachineState::ended && events_.end) {
        events_.end(*end_);
    }
    event_thread_.store(std::thread::id(), std::memory_order_relaxed);
}

/// An event that waits for the machine waits for itself.
Result<void> Core::check_caller(const char* call) const {
    if (event_thread_.load(std::memory_order_relaxed) == std::this_thread::get_id()) {
        return fail(fmt::format("{}: called by an event of the machine", call), EDEADLK);
    }
    return {};
}

void Core::end(End end) { finish_with(std::move(end)); }

void Core::end(Error error) { finish_with(std::unexpected(std::move(error))); }

void Core::finish_with(Result<End> end) {
    const std::lock_guard lock(mutex_);
    if (end_) {
        return;
    }
    end_ = std::move(end);
    order_.store(Order::end, std::memory_order_release);
    wakes_.ended.set();
    kick_all();
    changed_.notify_all();
}

/// created -> running, once.
Result<void> Core::leave_created(const char* call) {
    KVM_TRY(check_caller(call));
    const std::lock_guard event_lock(event_mutex_);
    const MachineState now = state();
    if (now != MachineState::created) {
        return fail(fmt::format("{}: the machine {}", call,
                                now == MachineState::ended ? "has run" : "runs already"),
                    EBUSY);
    }
    started_ = std::chrono::steady_clock::now();
    set_state(MachineState::running);
    return {};
}

Result<End> Core::run() {
    KVM_TRY(leave_created("Machine::run"));
    return live();
}

Result<void> Core::start() {
    KVM_TRY(leave_created("Machine::start"));
    const std::lock_guard lock(join_mutex_);
    try {
        loop_ = std::thread([this] {
            pthread_setname_np(pthread_self(), "machine");
            (void)live();  // wait() tells
        });
    } catch (const std::system_error& error) {
        end(Error("a thread for the machine", error.code().value()));
        (void)live();  // finds that it has ended
        return fail_errno("a thread for the machine", error.code().value());
    }
    return {};
}

Result<End> Core::wait() {
    KVM_TRY(check_caller("Machine::wait"));
    {
        std::unique_lock lock(mutex_);
        if (state_ == MachineState::created) {
            return fail("Machine::wait: the machine has not been started", EINVAL);
        }
        changed_.wait(lock, [&] { return state_ == MachineState::ended; });
    }
    const std::lock_guard lock(join_mutex_);
    if (loop_.joinable()) {
        loop_.join();
    }
    return *end_;
}

void Core::dismantle() {
    stop();
    if (state() != MachineState::created) {
        (void)wait();
    }
    board_.reset();  // whose devices are signalled by the VM, and signal it
}

Result<void> Core::pause() {
    KVM_TRY(check_caller("Machine::pause"));
    const std::lock_guard control(control_mutex_);
    {
        std::unique_lock lock(mutex_);
        if (state_ == MachineState::paused) {
            return {};
        }
        if (state_ != MachineState::running || end_) {
            return fail(
                fmt::format("Machine::pause: the machine {}",
                            state_ == MachineState::created ? "has not been started" : "has ended"),
                EINVAL);
        }
        order_.store(Order::pause, std::memory_order_release);
        board_->pump().never_wait();
        board_->pump().wake();  // the event loop, that it stops its clock
        kick_all();
        changed_.wait(lock, [&] { return end_ || parked_ == cpu_count(); });
        if (end_) {
            return fail("Machine::pause: the machine has ended", EINVAL);
        }
    }
    {
        // What the event loop gives a device now, it has given; it gives no more.
        const std::lock_guard input(input_mutex_);
    }
    board_->pause_devices();
    const std::lock_guard event_lock(event_mutex_);
    if (state() == MachineState::running) {
        set_state(MachineState::paused);
    }
    return {};
}

Result<void> Core::resume() {
    KVM_TRY(check_caller("Machine::resume"));
    const std::lock_guard control(control_mutex_);
    const std::lock_guard event_lock(event_mutex_);
    {
        const std::lock_guard lock(mutex_);
        if (state_ == MachineState::running && !end_) {
            return {};
        }
        if (state_ != MachineState::paused || end_) {
            return fail(
                fmt::format("Machine::resume: the machine {}",
                            state_ == MachineState::created ? "has not been started" : "has ended"),
                EINVAL);
        }
        board_->pump().may_wait();
        order_.store(Order::run, std::memory_order_release);
    }
    board_->resume_devices();
    set_state(MachineState::running);
    board_->pump().wake();
    return {};
}

bool Core::park(CpuBase& cpu) {
    if (order_.load(std::memory_order_acquire) == Order::pause) {
        if (auto settled = settle(cpu.id); !settled) {
            end(settled.error());
        }
    }
    std::unique_lock lock(mutex_);
    if (order_.load(std::memory_order_relaxed) == Order::pause) {
        ++parked_;
        changed_.notify_all();
        changed_.wait(lock, [&] { return order_.load(std::memory_order_relaxed) != Order::pause; });
        --parked_;
        lock.unlock();
        tell_of_pause(cpu.id);
    }
    return order_.load(std::memory_order_acquire) != Order::end;
}

}  // namespace detail

}  // namespace vmm
