// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <system_error>
#include <vmm/machine/core.hpp>

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

}  // namespace

Result<Wakes> Wakes::create() {
    return Wakes{KVM_TRY(Wake::create()), KVM_TRY(Wake::create()), KVM_TRY(Wake::create())};
}

void Core::end(End end) { finish_with(std::move(end)); }

void Core::end(Error error) { finish_with(std::unexpected(std::move(error))); }

void Core::finish_with(Result<End> end) {
    const std::lock_guard lock(mutex_);
    if (end_) {
        return;
    }
    end_ = std::move(end);
    ended_.store(true, std::memory_order_release);
    wakes_.ended.set();
    kick_all();
}

Result<End> Core::run(std::optional<std::chrono::milliseconds> timeout) {
    if (end_) {
        return fail("Machine::run: the machine has run");
    }
    if (auto started = start_threads(); !started) {
        end(started.error());
    }
    serve_events(timeout);
    threads_.clear();  // waits for them
    Result<End>& end = *end_;
    const bool hurry =
        !end || end->reason == EndReason::stopped || end->reason == EndReason::timeout;
    const auto written =
        board_->pump().finish(wakes_.stop, hurry ? last_output : ConsolePump::forever);
    if (end && !written) {
        return std::unexpected(written.error());
    }
    return end;
}

Result<void> Core::add_board(const MachineConfig& config, Console& console,
                             const GuestMemory& memory) {
    grace_ = config.grace;
    board_ = KVM_TRY(
        Board::create(config, console, {*this, *this, *this, *this, *this, memory, wakes_.ended}));
    return {};
}

void Core::power_off() {
    const bool asked = asked_.load(std::memory_order_relaxed);
    end({asked ? EndReason::shut_down : EndReason::power_off, 0, {}, {}});
}

/// Presses the power button, if the guest listens.
void Core::ask_for_power_off() {
    wakes_.shut_down.clear();
    if (patience_ends_) {
        return;
    }
    PowerButton* const button = board_->power_button();
    if (!button || !button->armed()) {
        end({EndReason::stopped, 0, {}, {}});
        return;
    }
    asked_.store(true, std::memory_order_relaxed);
    patience_ends_ = Clock::now() + grace_;
    button->press();
}

Result<void> Core::start_threads() {
    try {
        for (std::size_t i = 0; i < cpu_count(); ++i) {
            threads_.emplace_back([this, i] {
                try {
                    run_vcpu(i);
                } catch (const std::exception& error) {  // out of memory
                    end(Error(fmt::format("vCPU {}: {}", i, error.what())));
                }
            });
        }
    } catch (const std::system_error& error) {
        return fail_errno("a thread for a vCPU", error.code().value());
    }
    return {};
}

void Core::serve_events(std::optional<std::chrono::milliseconds> timeout) {
    const auto start = Clock::now();
    const auto deadline = timeout ? start + *timeout : Clock::time_point::max();
    auto next_look = start + life_interval;
    while (!ended()) {
        std::array<pollfd, 3 + ConsolePump::max_fds> fds;
        fds[0] = {wakes_.ended.fd(), POLLIN, 0};
        fds[1] = {wakes_.stop.fd(), POLLIN, 0};
        fds[2] = {wakes_.shut_down.fd(), POLLIN, 0};
        const std::size_t n =
            3 + board_->pump().wait_for(std::span(fds).subspan<3, ConsolePump::max_fds>());
        const auto patience = patience_ends_.value_or(Clock::time_point::max());
        const int ready =
            poll(fds.data(), n, milliseconds_until(std::min({deadline, next_look, patience})));
        if (ready > 0 && fds[2].revents) {
            ask_for_power_off();
        }
        if ((ready > 0 && fds[1].revents) || Clock::now() >= patience) {
            end({EndReason::stopped, 0, {}, {}});
        } else if (Clock::now() >= deadline) {
            end({EndReason::timeout, 0, {}, {}});
        } else if (Clock::now() >= next_look) {
            next_look = Clock::now() + life_interval;
            look_for_life();
        }
        if (ready <= 0) {
            continue;  // EINTR, or the time has come
        }
        const auto input = board_->pump().serve(board_->serial());
        if (!input) {
            end(input.error());
        } else if (*input == Console::Input::stop) {
            end({EndReason::stopped, 0, {}, {}});
        }
    }
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
