// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <poll.h>
#include <vector>
#include <vmm/device/serial.hpp>
#include <vmm/machine/console.hpp>
#include <vmm/machine/event_fds.hpp>
#include <vmm/machine/trace_hook.hpp>
#include <vmm/virtio/console.hpp>

namespace vmm::detail {

/// What gets the console's input.
class ConsoleReceiver {
public:
    /// Takes as many as there is room for, and returns how many.
    virtual std::size_t receive(std::span<const std::byte> bytes) = 0;

protected:
    ~ConsoleReceiver() = default;
};

/// Between the serial port and the console. Output is collected and written by lines, or when it
/// has waited for `patience`, so that a character costs no system call; a guest that is faster than
/// the console waits. Input waits until the serial port has room.
class ConsolePump final : public SerialPeer {
public:
    /// `ended` is set when the machine has ended: nobody waits any longer then.
    /// `hook`, if there is one, hears of the first output.
    static Result<std::unique_ptr<ConsolePump>> create(Console& console, const Wake& ended,
                                                       TraceHook* hook = nullptr);

    void transmit(std::byte byte) override;
    /// The same for many, as far as there is room; how many it took.
    std::size_t try_transmit(std::span<const std::byte> bytes);
    void room_to_receive() override { wake_.set(); }

    /// What the event loop is to wait for; then it calls serve(). No more than `max_fds`.
    static constexpr std::size_t max_fds = 4;
    enum class Input { take, leave };
    std::size_t wait_for(std::span<pollfd, max_fds> fds, Input input);
    /// Does what can be done now; input only for a receiver. Errors: the console's.
    Result<Console::Input> serve(ConsoleReceiver* receiver);
    virtio::ConsoleSize console_size() const {
        const auto size = console_.size().value_or(Console::Size{});
        return {size.columns, size.rows};
    }
    std::string problem() const { return console_.problem(); }
    /// Has the event loop look again at what it is to wait for. Any thread.
    void wake() const { wake_.set(); }

    /// From now on transmit() takes what it gets, also if the console does not. Any thread.
    void never_wait();
    /// It waits again.
    void may_wait();
    static constexpr std::chrono::milliseconds forever = std::chrono::milliseconds::max();
    /// Writes what is left, waiting for the console for `deadline`, or, if that is forever, until
    /// `hurry` is set. Errors: the console's.
    Result<void> finish(const Wake& hurry, std::chrono::milliseconds deadline);

private:
    ConsolePump(Console& console, const Wake& ended, TraceHook* hook, Wake wake, Wake gate,
                Timer timer)
        : console_(console), ended_(ended), hook_(hook), wake_(std::move(wake)),
          gate_(std::move(gate)), timer_(std::move(timer)) {}
    void flush();
    bool full() const { return output_.size() - written_ >= output_limit; }
    bool wait_for_room(std::unique_lock<std::mutex>& lock);
    Result<Console::Input> serve_input(ConsoleReceiver& receiver);

    static constexpr std::size_t output_limit = 64 << 10;
    static constexpr std::size_t output_batch = 512;
    static constexpr std::chrono::milliseconds patience{10};

    Console& console_;
    const Wake& ended_;
    TraceHook* hook_;  // until the first output
    Wake wake_;
    Wake gate_;  // set while transmit() never waits
    Timer timer_;

    std::mutex mutex_;  // of what follows
    std::vector<std::byte> output_;
    std::size_t written_ = 0;  // of output_
    bool blocked_ = false;     // the console took nothing: output_fd() is to be waited for
    bool timer_running_ = false;
    bool waits_ = true;           // transmit(), for room
    std::optional<Error> error_;  // of the console's output

    // The event loop's own.
    std::array<std::byte, 4096> input_{};
    std::size_t input_begin_ = 0;
    std::size_t input_end_ = 0;
    bool input_open_ = true;
};

}  // namespace vmm::detail
