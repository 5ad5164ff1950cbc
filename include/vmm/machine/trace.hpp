// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>
#include <vmm/fake_exit.hpp>
#include <vmm/machine/config.hpp>
#include <vmm/machine/console.hpp>

/// Recordings of machines' runs: MachineConfig::trace makes one, here it is read, replayed without
/// KVM, and turned into what timeline viewers open. The file's format is in docs/machine.md.
namespace vmm {

/// The clocks that devices read.
enum class TraceClock : std::uint8_t {
    realtime,   ///< TimeSource: seconds since 1970
    monotonic,  ///< Clock: nanoseconds
};

/// A device changed an interrupt line.
struct PinChange {
    kvm::Gsi gsi{};
    kvm::Level level{};

    friend bool operator==(const PinChange&, const PinChange&) = default;
};
/// A device read a clock.
struct ClockRead {
    TraceClock clock{};
    std::uint64_t value = 0;

    friend bool operator==(const ClockRead&, const ClockRead&) = default;
};
/// What devices did because of an event.
using TraceEffect = std::variant<PinChange, ClockRead>;

/// A phase of the machine begins: "create", "load", "vm", "start"; "run", a vCPU's first KVM_RUN;
/// "console", the guest's first output; "full": nothing more was recorded.
struct TraceMark {
    std::string name;
};
/// Bytes that the serial port took from the console.
struct ConsoleInput {
    std::string data;
};
/// The power button was pressed.
struct ButtonPress {};
/// What devices did of themselves.
struct OwnAccord {};
/// The machine's end, in one word: EndReason's name, or "error".
struct TraceEnd {
    std::string reason;
};

struct TraceEvent {
    std::size_t line = 0;    ///< in the file
    std::uint64_t time = 0;  ///< ns since the recording began
    std::uint64_t took = 0;  ///< ns until it was done: exits
    std::uint32_t cpu = 0;   ///< exits, and the mark "run"
    std::variant<TraceMark, fake::ExitData, ConsoleInput, ButtonPress, OwnAccord, TraceEnd> what;
    std::vector<TraceEffect> effects;
};

/// A recording.
struct Trace {
    /// What the machine was made of, without what it booted.
    MachineConfig config;
    /// Settings of the devices that work on the guest's memory beside it, "disk": where there are
    /// such, the recording can be read and not replayed.
    std::vector<std::string> beside;
    std::vector<TraceEvent> events;  ///< in order

    /// Reads a file, which may be hostile. Errors name file, line and field: what open(2) says,
    /// EPROTO (not a recording, or one of another version), EINVAL (a line that is none).
    static Result<Trace> read(const std::string& path);
    /// The same of text; `name` is for messages.
    static Result<Trace> parse(std::string_view text, std::string_view name);
};

/// What a replay came to.
struct Replay {
    std::uint64_t exits = 0;    ///< that were replayed
    std::uint64_t effects = 0;  ///< that came as they were recorded
};

/// Makes the machine anew on a scripted hypervisor, without KVM, gives it the exits and inputs of
/// the recording in their order, and looks that its devices answer, set their interrupt lines and
/// end the machine as they did then. They see the clocks of then. `console` gets the guest's
/// output. Errors: ENOTSUP (of a machine with devices that work beside it), ESTALE, the first
/// difference, by line and field; what making the machine says.
Result<Replay> replay(const Trace& trace, std::string_view name, Console& console);

/// The recording as JSON in the trace event format, which Perfetto and Chrome's about:tracing open:
/// a track for the machine's phases and one for each vCPU, with its exits as slices. Calls `write`
/// with one piece of text after the other.
void export_trace_events(const Trace& trace, const std::function<void(std::string_view)>& write);

}  // namespace vmm
