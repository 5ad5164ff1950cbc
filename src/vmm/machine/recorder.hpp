// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <atomic>
#include <chrono>
#include <kvm/fd.hpp>
#include <memory>
#include <mutex>
#include <thread>
#include <vmm/machine/trace_hook.hpp>

namespace vmm::detail {

/// Writes a recording. What is recorded is done one at a time, so that the file's order is the
/// order in which it happened. Any thread.
///
/// Whoever has the turn may wait for a device's lock, whose holder may be about to do an effect. So
/// an effect never waits for the turn: it takes the file's lock, with which nobody waits for
/// another.
class Recorder final : public TraceHook {
public:
    /// For the file that MachineConfig::trace names, which open() makes.
    explicit Recorder(const MachineConfig& config);
    ~Recorder();
    /// Makes the file, once everything else is there. Errors: open(2)'s, naming option and file.
    Result<void> open();

    void mark(std::string_view name);
    /// The vCPU's thread enters the guest for the first time.
    void mark_run(std::uint32_t cpu);
    void end(std::string_view reason);

    /// An exit, which `handle` handles.
    template <class Handle>
    void exit(std::uint32_t cpu, const kvm::Exit& exit, Handle handle) {
        const Turn turn(*this);
        const std::uint64_t time = now();
        handle();
        write_exit(time, cpu, fake::copy(exit));
    }
    /// What comes from outside: `give` does it and says what it was (a ConsoleInput or
    /// ButtonPress), or OwnAccord{} if nothing was done. False if something else is being recorded:
    /// it may wait for the console, so the caller, who serves the console, must not wait for it.
    template <class Give>
    bool try_input(Give give) {
        const Turn turn(*this, std::try_to_lock);
        if (turn) {
            const std::uint64_t time = now();
            auto what = give();
            if (!std::holds_alternative<OwnAccord>(what) || !effects_.empty()) {
                write({.time = time, .what = std::move(what), .effects = std::move(effects_)});
            }
        }
        return bool(turn);
    }

    void pin_changed(PinChange change) override;
    std::uint64_t clock_read(ClockRead read) override;
    void first_output() override { first_output_.store(true, std::memory_order_relaxed); }

    /// What went wrong with the file, or "".
    std::string problem() const;

private:
    /// The right to record, and to be the one whose effects are recorded.
    class Turn {
    public:
        explicit Turn(Recorder& recorder) : recorder_(recorder), lock_(recorder.mutex_) { begin(); }
        Turn(Recorder& recorder, std::try_to_lock_t)
            : recorder_(recorder), lock_(recorder.mutex_, std::try_to_lock) {
            if (lock_) {
                begin();
            }
        }
        ~Turn() {
            if (lock_) {
                recorder_.effects_.clear();
                recorder_.turn_.store(std::thread::id(), std::memory_order_relaxed);
            }
        }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;
        explicit operator bool() const { return lock_.owns_lock(); }

    private:
        void begin() {
            recorder_.turn_.store(std::this_thread::get_id(), std::memory_order_relaxed);
        }
        Recorder& recorder_;
        std::unique_lock<std::mutex> lock_;
    };

    using Clock = std::chrono::steady_clock;

    std::uint64_t now() const {
        return static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin_).count());
    }
    void effect(const TraceEffect& effect);
    void write_exit(std::uint64_t time, std::uint32_t cpu, const fake::ExitData& exit);
    void write(const TraceEvent& event);
    // With file_mutex_ held.
    void append(std::string_view text);
    void flush();

    kvm::Fd file_{-1};
    const std::string path_;
    const std::uint64_t limit_;
    const Clock::time_point begin_ = Clock::now();
    std::atomic<bool> first_output_ = false;  // and it has no mark yet
    std::atomic<std::thread::id> turn_{};     // whose effects go with what is being recorded
    std::mutex mutex_;                        // the turn's, and of effects_
    std::vector<TraceEffect> effects_;
    mutable std::mutex file_mutex_;  // of what follows; the last that is taken
    std::string buffer_;
    std::uint64_t written_ = 0;
    bool full_ = false;
    std::string problem_;
};

}  // namespace vmm::detail
