// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <atomic>
#include <kvm/exit.hpp>
#include <mutex>
#include <thread>
#include <vmm/machine/board.hpp>
#include <vmm/machine/event_fds.hpp>

namespace vmm::detail {

/// What is known of a vCPU beside itself. While its thread runs, its own but for the atomics.
struct CpuBase {
    explicit CpuBase(std::uint32_t number) : id(number) {}

    std::uint32_t id;
    std::array<std::uint64_t, kvm::exit_reason_count + 1> exits{};  // the last: newer reasons
    /// The last round of Core::look_for_life() in which it could never run again.
    std::atomic<std::uint64_t> dead_in_round = 0;
};

/// What the event loop waits for.
struct Wakes {
    static Result<Wakes> create();

    Wake stop;       ///< somebody wants the end
    Wake shut_down;  ///< somebody wants the guest to switch itself off
    Wake ended;      ///< the machine has ended
};

/// The part of a machine that knows no hypervisor: its board, its threads and its end.
class Core : public InterruptPins,
             public ResetLine,
             public PowerLine,
             public PanicLine,
             public ExitLine {
public:
    Result<End> run(std::optional<std::chrono::milliseconds> timeout);
    void stop() const noexcept { wakes_.stop.set(); }
    void shut_down() const noexcept { wakes_.shut_down.set(); }
    MachineReport report() const;

    // The board's wires.
    void reset() override { end({EndReason::reset, 0, {}, {}}); }
    void power_off() override;
    void panicked() override { end({EndReason::panic, 0, {}, {}}); }
    void crash_loaded() override { crash_loaded_.store(true, std::memory_order_relaxed); }
    void exit(std::uint32_t value) override { end({EndReason::test_exit, 0, {}, {}, value}); }

protected:
    explicit Core(Wakes wakes) : wakes_(std::move(wakes)) {}
    ~Core() override = default;

    /// Devices and, for a kernel, ACPI tables in `memory`, which must outlive this.
    Result<void> add_board(const MachineConfig& config, Console& console,
                           const GuestMemory& memory);
    Board& board() { return *board_; }

    // Any thread. The first end counts.
    void end(End end);
    void end(Error error);
    bool ended() const { return ended_.load(std::memory_order_acquire); }
    std::mutex& mutex() { return mutex_; }
    /// Does what an exit asks for. On the vCPU's thread.
    void handle(CpuBase& cpu, const kvm::Exit& exit);

    // The backend's.
    virtual std::size_t cpu_count() const = 0;
    virtual CpuBase& cpu(std::size_t index) = 0;
    const CpuBase& cpu(std::size_t index) const { return const_cast<Core*>(this)->cpu(index); }
    /// A vCPU's thread, until ended().
    virtual void run_vcpu(std::size_t index) = 0;
    /// Ends the run() of all vCPUs whose threads have begun. With mutex() held.
    virtual void kick_all() = 0;
    // On the vCPU's thread.
    virtual std::string dump_cpu(std::size_t index) = 0;
    /// Whether the vCPU can never run again of itself.
    virtual bool is_dead(std::size_t index) = 0;

private:
    void finish_with(Result<End> end);
    void end_with_dump(CpuBase& cpu, EndReason reason, std::string cause);

    // The event loop's thread.
    Result<void> start_threads();
    void serve_events(std::optional<std::chrono::milliseconds> timeout);
    void look_for_life();
    void ask_for_power_off();

    Wakes wakes_;
    std::unique_ptr<Board> board_;
    std::chrono::milliseconds grace_{};
    std::optional<std::chrono::steady_clock::time_point> patience_ends_;  // the event loop's own
    std::atomic<bool> asked_ = false;                                     // to switch itself off
    std::atomic<bool> crash_loaded_ = false;  // the guest's kernel panicked, and it goes on

    std::atomic<std::uint64_t> round_ = 0;  // of look_for_life()
    std::uint64_t dead_rounds_ = 0;         // of them, the last in a row in which none lived
    std::atomic<bool> ended_ = false;
    std::mutex mutex_;  // of what follows
    std::optional<Result<End>> end_;
    std::vector<std::jthread> threads_;  // the event loop's own; run() waits for them
};

}  // namespace vmm::detail
