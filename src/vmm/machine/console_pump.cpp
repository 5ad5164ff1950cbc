// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <kvm/try.hpp>
#include <vmm/machine/console_pump.hpp>

namespace vmm::detail {

Result<std::unique_ptr<ConsolePump>> ConsolePump::create(Console& console, const Wake& ended,
                                                         TraceHook* hook) {
    Wake wake = KVM_TRY(Wake::create());
    Wake gate = KVM_TRY(Wake::create());
    Timer timer = KVM_TRY(Timer::create());
    std::unique_ptr<ConsolePump> pump(
        new ConsolePump(console, ended, hook, std::move(wake), std::move(gate), std::move(timer)));
    pump->output_.reserve(output_batch);
    pump->input_open_ = console.input_fd() >= 0;
    return pump;
}

void ConsolePump::transmit(std::byte byte) {
    std::unique_lock lock(mutex_);
    if (hook_) {
        std::exchange(hook_, nullptr)->first_output();
    }
    if (full() && waits_ && !wait_for_room(lock)) {
        return;  // the machine has ended, and nobody reads
    }
    if (error_) {
        return;
    }
    output_.push_back(byte);
    if (blocked_) {
        return;  // the event loop waits for the console
    }
    if (byte == std::byte{'\n'} || output_.size() - written_ >= output_batch) {
        flush();
        if (blocked_ || error_) {
            wake_.set();
        }
    } else if (!timer_running_) {
        timer_running_ = true;
        timer_.start(patience);
    }
}

std::size_t ConsolePump::try_transmit(std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    if (hook_) {
        std::exchange(hook_, nullptr)->first_output();
    }
    if (error_) {
        return bytes.size();
    }
    const std::size_t waiting = output_.size() - written_;
    const std::size_t taken =
        waits_ ? std::min(bytes.size(), output_limit - std::min(output_limit, waiting))
               : bytes.size();
    output_.insert(output_.end(), bytes.begin(), bytes.begin() + std::ptrdiff_t(taken));
    if (!blocked_) {
        flush();
    }
    if (blocked_ || error_) {
        wake_.set();  // the event loop waits for the console
    }
    return taken;
}

/// Writes what the console takes now. With mutex_ held.
void ConsolePump::flush() {
    blocked_ = false;
    while (written_ < output_.size() && !error_ && !blocked_) {
        const auto n = console_.write(std::span(output_).subspan(written_));
        if (!n) {
            error_ = n.error();
        } else {
            written_ += *n;
            blocked_ = *n == 0;
        }
    }
    if (!blocked_) {
        output_.clear();
        written_ = 0;
    } else if (written_ >= output_limit) {
        output_.erase(output_.begin(), output_.begin() + static_cast<std::ptrdiff_t>(written_));
        written_ = 0;
    }
}

/// Waits until there is room for a byte or need not be; false if the machine has ended.
bool ConsolePump::wait_for_room(std::unique_lock<std::mutex>& lock) {
    while (full() && waits_) {
        std::array<pollfd, 3> fds{pollfd{ended_.fd(), POLLIN, 0}, pollfd{gate_.fd(), POLLIN, 0},
                                  pollfd{console_.output_fd(), POLLOUT, 0}};
        lock.unlock();
        (void)poll(fds.data(), fds.size(), -1);
        lock.lock();
        if (fds[0].revents) {
            return false;
        }
        flush();
    }
    return true;
}

void ConsolePump::never_wait() {
    const std::lock_guard lock(mutex_);
    waits_ = false;
    gate_.set();
}

void ConsolePump::may_wait() {
    const std::lock_guard lock(mutex_);
    waits_ = true;
    gate_.clear();
}

std::size_t ConsolePump::wait_for(std::span<pollfd, max_fds> fds, Input input) {
    std::size_t n = 0;
    fds[n++] = {wake_.fd(), POLLIN, 0};
    fds[n++] = {timer_.fd(), POLLIN, 0};
    const bool has_input =
        input_begin_ != input_end_ && console_.overflow() == Console::Overflow::wait;
    if (input_open_ && !has_input && input == Input::take) {
        fds[n++] = {console_.input_fd(), POLLIN, 0};
    }
    const std::lock_guard lock(mutex_);
    if (blocked_) {
        fds[n++] = {console_.output_fd(), POLLOUT, 0};
    }
    return n;
}

Result<Console::Input> ConsolePump::serve(ConsoleReceiver* receiver) {
    wake_.clear();
    {
        const std::lock_guard lock(mutex_);
        timer_.clear();
        timer_running_ = false;
        flush();
        if (error_) {
            return std::unexpected(*error_);
        }
    }
    return receiver ? serve_input(*receiver) : Console::Input::more;
}

Result<Console::Input> ConsolePump::serve_input(ConsoleReceiver& receiver) {
    const bool drop = console_.overflow() == Console::Overflow::drop;
    if (input_open_ && (input_begin_ == input_end_ || drop)) {
        pollfd ready{console_.input_fd(), POLLIN, 0};
        if (poll(&ready, 1, 0) == 1) {
            std::array<std::byte, 4096> fresh;
            std::size_t size = 0;
            const auto state = console_.read(fresh, size);
            if (!state || *state == Console::Input::stop) {
                return state;
            }
            input_open_ = *state != Console::Input::end;
            if (input_begin_ == input_end_) {
                input_begin_ = input_end_ = 0;
            }
            const std::size_t taken = std::min(size, input_.size() - input_end_);
            std::copy_n(fresh.begin(), taken, input_.begin() + std::ptrdiff_t(input_end_));
            input_end_ += taken;
        }
    }
    if (input_begin_ != input_end_) {
        input_begin_ +=
            receiver.receive(std::span(input_).subspan(input_begin_, input_end_ - input_begin_));
    }
    return Console::Input::more;
}

Result<void> ConsolePump::finish(const Wake& hurry, std::chrono::milliseconds deadline) {
    const bool waiting = deadline == forever;
    const auto end = std::chrono::steady_clock::now() + (waiting ? deadline.zero() : deadline);
    const std::lock_guard lock(mutex_);
    flush();
    while (blocked_ && !error_) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::chrono::steady_clock::now());
        std::array<pollfd, 2> fds{pollfd{console_.output_fd(), POLLOUT, 0},
                                  pollfd{hurry.fd(), POLLIN, 0}};
        if (!waiting && left.count() <= 0) {
            break;  // nobody reads
        }
        (void)poll(fds.data(), waiting ? 2 : 1, waiting ? -1 : static_cast<int>(left.count()));
        if (fds[1].revents) {
            break;
        }
        flush();
    }
    if (error_) {
        return std::unexpected(*error_);
    }
    return {};
}

}  // namespace vmm::detail
