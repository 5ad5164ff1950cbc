// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <kvm/exit.hpp>
#include <mutex>
#include <thread>
#include <vmm/machine/board.hpp>
#include <vmm/machine/event_fds.hpp>
#include <vmm/machine/events.hpp>
#include <vmm/machine/recorder.hpp>

namespace vmm::detail {

/// What is known of a vCPU beside itself.
struct CpuBase {
    explicit CpuBase(std::uint32_t number) : id(number) {}

    std::uint32_t id;
    /// By reason, the last for newer ones. Its thread alone writes.
    std::array<std::atomic<std::uint64_t>, kvm::exit_reason_count + 1> exits{};
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

/// Says, as debug, that a phase of a machine's making begins, and how long after `begin`.
void log_phase(const Log& log, std::string_view phase, std::chrono::steady_clock::time_point begin);

/// The part of a machine that knows no hypervisor: its board, its threads and its life.
///
/// Of the locks, control_mutex_ comes before event_mutex_, that before mutex_; input_mutex_ is
/// taken with none of them held.
class Core : public InterruptPins,
             public ResetLine,
             public PowerLine,
             public PanicLine,
             public ExitLine,
             public ConsoleReceiver {
public:
    // src/vmm/machine/lifecycle.cpp. Any thread.
    Result<End> run();
    Result<void> start();
    Result<void> pause();
    Result<void> resume();
    void stop() const noexcept { wakes_.stop.set(); }
    void shut_down() const noexcept { wakes_.shut_down.set(); }
    Result<End> wait();
    MachineState state() const;
    /// Stops the machine, waits for its threads and removes its devices. Before what they use is
    /// destroyed.
    void dismantle();

    Result<void> set_balloon(std::uint64_t bytes) { return board_->set_balloon(bytes); }
    MachineReport report() const;

    // The board's wires.
    kvm::Result<void> set_pin(kvm::Gsi gsi, kvm::Level level) final;
    void reset() override { end({EndReason::reset, 0, {}, {}}); }
    void power_off() override;
    void panicked() override { end({EndReason::panic, 0, {}, {}}); }
    void crash_loaded() override;
    void exit(std::uint32_t value) override { end({EndReason::test_exit, 0, {}, {}, value}); }

protected:
    explicit Core(Wakes wakes) : wakes_(std::move(wakes)) {}
    ~Core() override = default;

    /// `notes` are the loader's.
    void configure(const MachineConfig& config, MachineEvents events,
                   std::vector<std::string> notes);
    /// Who sees what devices do. Before add_board().
    void trace(TraceHook* hook) { hook_ = hook; }
    /// The same, and sees exits and inputs, too.
    void record(std::unique_ptr<Recorder> recorder) { recorder_ = std::move(recorder); }
    /// Devices and, for a kernel, ACPI tables in `memory`, which must outlive this.
    Result<void> add_board(const MachineConfig& config, Console& console, HostFiles files,
                           const GuestMemory& memory);
    Board& board() { return *board_; }

    // Any thread. The first end counts.
    void end(End end);
    void end(Error error);
    std::mutex& mutex() { return mutex_; }

    // A vCPU's thread.
    /// Whether it is to run on: one word. If not, park() knows more.
    bool go() const { return order_.load(std::memory_order_acquire) == Order::run; }
    /// Waits while the machine is paused; whether it has not ended.
    bool park(CpuBase& cpu);
    /// Does what an exit asks for.
    void handle(CpuBase& cpu, const kvm::Exit& exit);

    // The backend's.
    virtual kvm::Result<void> irq_line(kvm::Gsi gsi, kvm::Level level) = 0;
    virtual const Signals& signals() const = 0;
    virtual std::size_t cpu_count() const = 0;
    virtual CpuBase& cpu(std::size_t index) = 0;
    const CpuBase& cpu(std::size_t index) const { return const_cast<Core*>(this)->cpu(index); }
    /// Ends the run() of all vCPUs whose threads have begun. With mutex() held.
    virtual void kick_all() = 0;
    // On the vCPU's thread.
    /// Runs it until the machine has ended.
    virtual void run_vcpu(std::size_t index) = 0;
    /// Has the replies to its last exit taken, so that its state is whole.
    virtual Result<void> settle(std::size_t index) = 0;
    /// Tells it that it did not run for a while.
    virtual void tell_of_pause(std::size_t index) = 0;
    virtual std::string dump_cpu(std::size_t index) = 0;
    // Any thread.
    virtual const GuestMemory& memory() const = 0;
    virtual std::vector<Statistic> kvm_statistics() const = 0;
    /// Whether the vCPU can never run again of itself.
    virtual bool is_dead(std::size_t index) = 0;

private:
    friend class Replayer;
    enum class Order : std::uint8_t { run, pause, end };

    void finish_with(Result<End> end);
    void dispatch(CpuBase& cpu, const kvm::Exit& exit);
    void end_with_dump(CpuBase& cpu, EndReason reason, std::string cause);
    /// With event_mutex_ held.
    void set_state(MachineState state);
    Result<void> leave_created(const char* call);
    Result<void> check_caller(const char* call) const;

    // The event loop's thread: that of run(), or loop_. src/vmm/machine/event_loop.cpp.
    Result<End> live();
    Result<void> start_threads();
    void vcpu_thread(std::size_t index);
    void serve_events();
    void serve_console();
    std::size_t receive(std::span<const std::byte> bytes) override;
    void look_for_life();
    void ask_for_power_off();
    void log_end() const;

    Wakes wakes_;
    std::unique_ptr<Recorder> recorder_;
    TraceHook* hook_ = nullptr;
    std::unique_ptr<Board> board_;
    std::optional<std::chrono::milliseconds> timeout_;
    std::chrono::milliseconds grace_{};
    std::vector<std::vector<std::uint32_t>> affinity_;
    MachineEvents events_;
    std::vector<std::string> notes_;
    // When the guest ought to have switched itself off. The event loop's own.
    std::chrono::steady_clock::time_point patience_end_ =
        std::chrono::steady_clock::time_point::max();
    std::atomic<bool> asked_ = false;  // to switch itself off
    std::atomic<std::chrono::steady_clock::time_point> started_{};
    std::atomic<bool> crash_loaded_ = false;  // the guest's kernel panicked, and it goes on

    std::atomic<std::uint64_t> round_ = 0;  // of look_for_life()
    std::uint64_t dead_rounds_ = 0;         // of them, the last in a row in which none lived
    std::atomic<Order> order_ = Order::run;

    std::mutex control_mutex_;                     // pause() and resume(), one at a time
    std::mutex event_mutex_;                       // changes of the state, with their callbacks
    std::atomic<std::thread::id> event_thread_{};  // in a callback
    std::mutex input_mutex_;                       // of what the event loop gives the devices
    mutable std::mutex mutex_;                     // of what follows
    std::condition_variable changed_;
    MachineState state_ = MachineState::created;
    std::size_t parked_ = 0;  // threads of vCPUs that wait in park()
    std::optional<Result<End>> end_;
    std::vector<std::jthread> threads_;  // the event loop's own; live() waits for them
    std::mutex join_mutex_;              // of loop_
    std::thread loop_;
};

}  // namespace vmm::detail
