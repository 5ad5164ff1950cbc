// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <map>
#include <vmm/machine/trace_text.hpp>

namespace vmm {

namespace {

/// Writes events of the trace event format. Its times are microseconds.
class Exporter {
public:
    explicit Exporter(const std::function<void(std::string_view)>& write) : write_(write) {}

    void begin() {
        write_("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
        name_track(machine_track, "machine");
    }
    void end(std::uint64_t time) {
        end_phase(time);
        write_("\n]}\n");
    }

    void add(const TraceEvent& event) {
        std::visit([&](const auto& what) { add(event, what); }, event.what);
        const std::uint32_t track =
            std::holds_alternative<fake::ExitData>(event.what) ? 1 + event.cpu : machine_track;
        for (const TraceEffect& effect : event.effects) {
            instant(track, event.time, detail::effect_text(effect), "device");
        }
    }

private:
    static constexpr std::uint32_t machine_track = 0;  // then the vCPUs

    void add(const TraceEvent& event, const fake::ExitData& exit) {
        const std::uint32_t track = begin_guest(event.cpu, event.time);
        std::uint64_t& since = guest_since_[event.cpu];
        slice(track, since, event.time - std::min(since, event.time), "guest", "guest", "");
        const std::string text = detail::exit_text(exit);
        slice(track, event.time, event.took, text.substr(0, text.find(' ')), "exit",
              fmt::format(",\"args\":{{\"exit\":\"{}\",\"line\":{}}}", quoted(text), event.line));
        since = event.time + event.took;
    }
    void add(const TraceEvent& event, const TraceMark& mark) {
        if (mark.name == "run") {
            begin_guest(event.cpu, event.time);
            instant(1 + event.cpu, event.time, "run", "phase");
        } else if (mark.name == "console" || mark.name == "full") {
            instant(machine_track, event.time, mark.name, "phase");
        } else {
            end_phase(event.time);
            phase_ = mark.name;
            phase_since_ = event.time;
        }
    }
    void add(const TraceEvent& event, const ConsoleInput& input) {
        instant(machine_track, event.time,
                fmt::format("input console {}", fake::to_hex(input.data)), "input");
    }
    void add(const TraceEvent& event, const ButtonPress&) {
        instant(machine_track, event.time, "input button", "input");
    }
    void add(const TraceEvent&, const OwnAccord&) {}
    void add(const TraceEvent& event, const TraceEnd& end) {
        end_phase(event.time);
        instant(machine_track, event.time, "end " + end.reason, "phase");
    }

    /// The vCPU's track, which has a name from its first event on.
    std::uint32_t begin_guest(std::uint32_t cpu, std::uint64_t time) {
        if (guest_since_.try_emplace(cpu, time).second) {
            name_track(1 + cpu, fmt::format("vCPU {}", cpu));
        }
        return 1 + cpu;
    }
    void end_phase(std::uint64_t time) {
        if (!phase_.empty()) {
            slice(machine_track, phase_since_, time - std::min(phase_since_, time), phase_, "phase",
                  "");
        }
        phase_.clear();
    }

    void name_track(std::uint32_t track, std::string_view name) {
        put(
            fmt::format("\"ph\":\"M\",\"tid\":{},\"name\":\"thread_name\","
                        "\"args\":{{\"name\":\"{}\"}}",
                        track, quoted(name)));
        put(
            fmt::format("\"ph\":\"M\",\"tid\":{},\"name\":\"thread_sort_index\","
                        "\"args\":{{\"sort_index\":{}}}",
                        track, track));
    }
    void slice(std::uint32_t track, std::uint64_t time, std::uint64_t took, std::string_view name,
               const char* category, std::string_view more) {
        put(
            fmt::format("\"ph\":\"X\",\"tid\":{},\"ts\":{}.{:03},\"dur\":{}.{:03},\"cat\":\"{}\","
                        "\"name\":\"{}\"{}",
                        track, time / 1000, time % 1000, took / 1000, took % 1000, category,
                        quoted(name), more));
    }
    void instant(std::uint32_t track, std::uint64_t time, std::string_view name,
                 const char* category) {
        put(
            fmt::format("\"ph\":\"i\",\"s\":\"t\",\"tid\":{},\"ts\":{}.{:03},\"cat\":\"{}\","
                        "\"name\":\"{}\"",
                        track, time / 1000, time % 1000, category, quoted(name)));
    }
    void put(std::string_view fields) {
        write_(fmt::format("{}{{\"pid\":1,{}}}", first_ ? "" : ",\n", fields));
        first_ = false;
    }
    /// A recording's words may be anything.
    static std::string quoted(std::string_view text) {
        std::string out;
        for (const char c : text) {
            const auto byte = static_cast<unsigned char>(c);
            if (byte < 0x20 || byte >= 0x7f || c == '"' || c == '\\') {
                out += fmt::format("\\u{:04x}", byte);
            } else {
                out += c;
            }
        }
        return out;
    }

    const std::function<void(std::string_view)>& write_;
    bool first_ = true;
    std::string phase_;
    std::uint64_t phase_since_ = 0;
    std::map<std::uint32_t, std::uint64_t> guest_since_;  // by vCPU
};

}  // namespace

void export_trace_events(const Trace& trace, const std::function<void(std::string_view)>& write) {
    Exporter exporter(write);
    exporter.begin();
    std::uint64_t last = 0;
    for (const TraceEvent& event : trace.events) {
        exporter.add(event);
        last = std::max(last, event.time + event.took);
    }
    exporter.end(last);
}

}  // namespace vmm
