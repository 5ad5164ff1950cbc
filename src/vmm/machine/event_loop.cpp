// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <pthread.h>
#include <sched.h>
#include <system_error>
#include <vmm/machine/core.hpp>
#include <vmm/machine/trace_text.hpp>

namespace vmm::detail {

namespace {

using Clock = std::chrono::steady_clock;

/// How often it is asked whether any CPU can still run.
constexpr std::chrono::milliseconds life_interval{500};

/// How long a console that does not take its output may hold up an end that somebody asked for.
constexpr std::chrono::milliseconds last_output{1000};

int milliseconds_until(Clock::time_point time) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - Clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
}

/// Has this thread run on these of the host's CPUs. 0 or an errno.
int set_affinity(const std::vector<std::uint32_t>& cpus) {
    const std::size_t count = *std::max_element(cpus.begin(), cpus.end()) + std::size_t(1);
    const std::size_t bytes = CPU_ALLOC_SIZE(count);
    std::vector<unsigned long> words(bytes / sizeof(unsigned long));
    auto* const set = reinterpret_cast<cpu_set_t*>(words.data());
    for (const std::uint32_t cpu : cpus) {
        CPU_SET_S(cpu, bytes, set);
    }
    return pthread_setaffinity_np(pthread_self(), bytes, set);
}

}  // namespace

Result<Wakes> Wakes::create() {
    // Not within the braces: g++ 12 forgets the members that are made when KVM_TRY returns.
    Wake stop = KVM_TRY(Wake::create());
    Wake shut_down = KVM_TRY(Wake::create());
    Wake ended = KVM_TRY(Wake::create());
    return Wakes{std::move(stop), std::move(shut_down), std::move(ended)};
}

void log_phase(const Log& log, std::string_view phase, Clock::time_point begin) {
    if (log.wants(LogLevel::debug)) {
        const std::chrono::duration<double, std::milli> time = Clock::now() - begin;
        log.debug("machine", fmt::format("{} after {:.3f} ms", phase, time.count()));
    }
}

void Core::log_end() const {
    const Log& log = events_.log;
    if (recorder_ && !recorder_->problem().empty()) {
        log.warn("machine", recorder_->problem());
    }
    if (const auto problem = board_->pump().problem(); !problem.empty()) {
        log.warn("machine", problem);
    }
    const std::chrono::duration<double> time = Clock::now() - started_.load();
    if (*end_) {
        log.info("machine",
                 fmt::format("ended after {:.3f} s: {}", time.count(), describe((*end_)->reason)));
    } else {
        log.error("machine",
                  fmt::format("ended after {:.3f} s: {}", time.count(), end_->error().message));
    }
}

/// The machine's life from its start to its end.
Result<End> Core::live() {
    if (recorder_) {
        recorder_->mark("start");
    }
    if (auto started = start_threads(); !started) {
        end(started.error());
    }
    serve_events();
    threads_.clear();  // waits for them
    board_->stop_devices();
    const bool hurry = !*end_ || (*end_)->reason == EndReason::stopped ||
                       (*end_)->reason == EndReason::shut_down ||
                       (*end_)->reason == EndReason::timeout;
    const auto written =
        board_->pump().finish(wakes_.stop, hurry ? last_output : ConsolePump::forever);
    if (*end_ && !written) {
        const std::lock_guard lock(mutex_);
        end_ = std::unexpected(written.error());
    }
    if (recorder_) {
        recorder_->end(*end_ ? reason_word((*end_)->reason) : "error");
    }
    log_end();
    const std::lock_guard lock(event_mutex_);
    set_state(MachineState::ended);
    return *end_;
}

Result<void> Core::add_board(const MachineConfig& config, Console& console, HostFiles files,
                             const GuestMemory& memory) {
    board_ = KVM_TRY(Board::create(
        config, console, std::move(files),
        {*this, signals(), *this, *this, *this, *this, memory, wakes_.ended, hook_, events_.log}));
    return {};
}

void Core::power_off() {
    const bool asked = asked_.load(std::memory_order_relaxed);
    end({asked ? EndReason::shut_down : EndReason::power_off, 0, {}, {}});
}

void Core::crash_loaded() {
    if (!crash_loaded_.exchange(true, std::memory_order_relaxed)) {
        events_.log.warn("machine", "the guest's kernel panicked, and its crash kernel takes over");
    }
}

/// Presses the power button, if the guest runs and listens.
void Core::ask_for_power_off() {
    if (patience_end_ != Clock::time_point::max()) {
        wakes_.shut_down.clear();
        return;  // it has been asked
    }
    const std::lock_guard lock(input_mutex_);
    PowerButton* const button = board_->power_button();
    if (!go() || !button || !button->armed()) {
        end({EndReason::stopped, 0, {}, {}});
        return;
    }
    events_.log.info("machine", "pressing the power button");
    asked_.store(true, std::memory_order_relaxed);
    const auto press = [&]() -> decltype(TraceEvent::what) {
        button->press();
        return ButtonPress{};
    };
    if (!recorder_) {
        press();
    } else if (!recorder_->try_input(press)) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return;  // and try again
    }
    wakes_.shut_down.clear();
    patience_end_ = Clock::now() + grace_;
}

Result<void> Core::start_threads() {
    KVM_TRY(board_->start_devices());
    try {
        for (std::size_t i = 0; i < cpu_count(); ++i) {
            threads_.emplace_back([this, i] { vcpu_thread(i); });
        }
    } catch (const std::system_error& error) {
        return fail_errno("a thread for a vCPU", error.code().value());
    }
    return {};
}

void Core::vcpu_thread(std::size_t index) {
    try {
        pthread_setname_np(pthread_self(), fmt::format("vcpu {}", index).c_str());
        if (index < affinity_.size() && !affinity_[index].empty()) {
            if (const int error = set_affinity(affinity_[index])) {
                end(about_setting("cpu-affinity",
                                  fail_errno(fmt::format("vCPU {}", index), error).error())
                        .error());
                return;
            }
        }
        if (recorder_) {
            recorder_->mark_run(cpu(index).id);
        }
        run_vcpu(index);
    } catch (const std::exception& error) {  // out of memory
        end(Error(fmt::format("vCPU {}: {}", index, error.what())));
    }
}

void Core::serve_events() {
    auto last = Clock::now();
    auto deadline = timeout_ ? last + *timeout_ : Clock::time_point::max();
    auto next_look = last + life_interval;
    for (;;) {
        const Order order = order_.load(std::memory_order_acquire);
        if (order == Order::end) {
            return;
        }
        const bool paused = order == Order::pause;
        std::array<pollfd, 3 + ConsolePump::max_fds> fds;
        fds[0] = {wakes_.ended.fd(), POLLIN, 0};
        fds[1] = {wakes_.stop.fd(), POLLIN, 0};
        fds[2] = {wakes_.shut_down.fd(), POLLIN, 0};
        const std::size_t n =
            3 +
            board_->pump().wait_for(std::span(fds).subspan<3, ConsolePump::max_fds>(),
                                    paused ? ConsolePump::Input::leave : ConsolePump::Input::take);
        // A paused machine's time stands still; pause() and resume() wake the pump.
        const int ready =
            poll(fds.data(), n,
                 paused ? -1 : milliseconds_until(std::min({deadline, next_look, patience_end_})));
        const auto now = Clock::now();
        for (Clock::time_point* time : {&deadline, &patience_end_}) {
            if (paused && *time != Clock::time_point::max()) {
                *time += now - last;
            }
        }
        last = now;
        // A pause that came while this thread waited is none of the guest's time either.
        const bool running = !paused && go();
        if (ready > 0 && fds[2].revents) {
            ask_for_power_off();
        }
        if ((ready > 0 && fds[1].revents) || (running && now >= patience_end_)) {
            end({EndReason::stopped, 0, {}, {}});
        } else if (running && now >= deadline) {
            end({EndReason::timeout, 0, {}, {}});
        } else if (running && now >= next_look) {
            next_look = now + life_interval;
            board_->look_at_console();
            look_for_life();
        }
        if (ready > 0) {  // no EINTR, and not only the time has come
            serve_console();
        }
    }
}

void Core::serve_console() {
    const std::lock_guard lock(input_mutex_);
    const bool running = go();
    const auto input = board_->pump().serve(running ? this : nullptr);
    if (!input) {
        end(input.error());
    } else if (*input == Console::Input::stop) {
        end({EndReason::stopped, 0, {}, {}});
    }
}

std::size_t Core::receive(std::span<const std::byte> bytes) {
    std::size_t taken = 0;
    const auto give = [&]() -> decltype(TraceEvent::what) {
        taken = board_->receive(bytes);
        if (taken == 0) {
            return OwnAccord{};
        }
        return ConsoleInput{{reinterpret_cast<const char*>(bytes.data()), taken}};
    };
    if (!recorder_) {
        give();
    } else if (!recorder_->try_input(give)) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        board_->pump().wake();  // to try again
    }
    return taken;
}

/// A machine whose CPUs all wait with interrupts off would wait for ever: KVM_RUN does not return.
/// Each CPU is asked now and then. Twice in a row, for the one asked last could have woken the
/// first meanwhile.
void Core::look_for_life() {
    const std::uint64_t last = round_.load(std::memory_order_relaxed);
    bool dead = last != 0;
    for (std::size_t i = 0; dead && i < cpu_count(); ++i) {
        dead = cpu(i).dead_in_round.load(std::memory_order_relaxed) == last;
    }
    dead_rounds_ = dead ? dead_rounds_ + 1 : 0;
    if (dead_rounds_ == 2) {
        end({EndReason::halted, 0, {}, {}});
        return;
    }
    round_.store(last + 1, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    kick_all();
}

}  // namespace vmm::detail
