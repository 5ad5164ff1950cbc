// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <vmm/machine/settings.hpp>
#include <vmm/machine/trace_text.hpp>

namespace vmm::detail {

namespace {

using fake::to_hex;

/// Settings that say what the devices are. A replay needs no other, and must not do what another
/// says of this host: open disks, map files.
constexpr auto kept = std::to_array<std::string_view>(
    {"memory", "cpus", "acpi", "without", "fw-cfg", "test-devices", "pci"});

/// Settings of devices that read and write the guest's memory by themselves: no replay has that.
constexpr auto beside =
    std::to_array<std::string_view>({"disk", "net", "rng", "console", "balloon", "vsock"});

std::string optional_hex(const char* key, const std::optional<std::string>& bytes) {
    return bytes ? fmt::format(" {}={}", key, to_hex(*bytes)) : std::string();
}
template <class T>
std::string optional_number(const char* key, const std::optional<T>& number) {
    return number ? fmt::format(" {}={:#x}", key, *number) : std::string();
}

struct ExitText {
    std::string operator()(const fake::IoOut& io) const {
        return fmt::format("io_out port={:#x} size={} data={}", static_cast<std::uint16_t>(io.port),
                           io.size, to_hex(io.data));
    }
    std::string operator()(const fake::IoIn& io) const {
        return fmt::format("io_in port={:#x} size={} count={}", static_cast<std::uint16_t>(io.port),
                           io.size, io.count) +
               optional_hex("reply", io.reply);
    }
    std::string operator()(const fake::MmioWrite& m) const {
        return fmt::format("mmio_write address={:#x} data={}", m.address.value(), to_hex(m.data));
    }
    std::string operator()(const fake::MmioRead& m) const {
        return fmt::format("mmio_read address={:#x} size={}", m.address.value(), m.size) +
               optional_hex("reply", m.reply);
    }
    std::string operator()(const fake::Rdmsr& msr) const {
        return fmt::format("rdmsr index={:#x} why={}", msr.index,
                           static_cast<std::uint32_t>(msr.why)) +
               optional_number("reply", msr.reply) + optional_number("error", msr.error);
    }
    std::string operator()(const fake::Wrmsr& msr) const {
        return fmt::format("wrmsr index={:#x} value={:#x} why={}", msr.index, msr.value,
                           static_cast<std::uint32_t>(msr.why)) +
               optional_number("error", msr.error);
    }
    std::string operator()(const fake::InternalError& error) const {
        return fmt::format("internal_error suberror={} insn={}", error.suberror,
                           to_hex(error.insn));
    }
    std::string operator()(const fake::FailEntry& error) const {
        return fmt::format("fail_entry reason={:#x}", error.reason);
    }
    std::string operator()(const fake::SystemEvent& event) const {
        return fmt::format("system_event type={}", static_cast<std::uint32_t>(event.type));
    }
    std::string operator()(const fake::MemoryFault& fault) const {
        return fmt::format("memory_fault address={:#x} size={:#x}", fault.address.value(),
                           fault.size);
    }
    std::string operator()(const fake::OtherExit& other) const {
        return fmt::format("exit reason={} name={}", static_cast<std::uint32_t>(other.reason),
                           kvm::name(other.reason));
    }
};

struct EffectText {
    std::string operator()(const PinChange& pin) const {
        return fmt::format("irq gsi={} level={}", static_cast<std::uint32_t>(pin.gsi),
                           static_cast<std::uint32_t>(pin.level));
    }
    std::string operator()(const ClockRead& read) const {
        return fmt::format("clock {}={}",
                           read.clock == TraceClock::realtime ? "realtime" : "monotonic",
                           read.value);
    }
};

/// What follows an event's time.
struct EventText {
    const TraceEvent& event;

    std::string operator()(const TraceMark& mark) const {
        return mark.name == "run" ? fmt::format("mark run cpu={}", event.cpu) : "mark " + mark.name;
    }
    std::string operator()(const fake::ExitData& exit) const {
        return fmt::format("cpu {} {} took={}.{:03}", event.cpu, exit_text(exit), event.took / 1000,
                           event.took % 1000);
    }
    std::string operator()(const ConsoleInput& input) const {
        return "input console data=" + to_hex(input.data);
    }
    std::string operator()(const ButtonPress&) const { return "input button"; }
    std::string operator()(const OwnAccord&) const { return "devices"; }
    std::string operator()(const TraceEnd& end) const { return "end " + end.reason; }
};

}  // namespace

bool is_recorded(std::string_view setting) {
    return std::ranges::find(kept, setting) != kept.end();
}

std::string escaped(std::string_view text) {
    std::string line;
    for (const char c : text) {
        line += c == '\n' ? "\\n" : c == '\\' ? "\\\\" : std::string(1, c);
    }
    return line;
}

std::string config_lines(const MachineConfig& config) {
    std::string lines;
    for (const Setting& setting : settings()) {
        if (!is_recorded(setting.name)) {
            continue;
        }
        for (const std::string& value : setting.get(config)) {
            lines += fmt::format("config {} {}\n", setting.name, escaped(value));
        }
    }
    for (const std::string_view name : beside) {
        if (!find_setting(name)->get(config).empty()) {
            lines += fmt::format("beside {}\n", name);
        }
    }
    return lines;
}

std::string exit_text(const fake::ExitData& exit) { return std::visit(ExitText{}, exit); }

std::string effect_text(const TraceEffect& effect) { return std::visit(EffectText{}, effect); }

std::string event_lines(const TraceEvent& event) {
    std::string lines = fmt::format("{}.{:03} {}\n", event.time / 1000, event.time % 1000,
                                    std::visit(EventText{event}, event.what));
    for (const TraceEffect& effect : event.effects) {
        lines += "  " + effect_text(effect) + "\n";
    }
    return lines;
}

std::string_view reason_word(EndReason reason) {
    switch (reason) {
        case EndReason::power_off:
            return "power_off";
        case EndReason::shut_down:
            return "shut_down";
        case EndReason::reset:
            return "reset";
        case EndReason::panic:
            return "panic";
        case EndReason::halted:
            return "halted";
        case EndReason::triple_fault:
            return "triple_fault";
        case EndReason::internal_error:
            return "internal_error";
        case EndReason::stopped:
            return "stopped";
        case EndReason::timeout:
            return "timeout";
        case EndReason::test_exit:
            return "test_exit";
    }
    return "?";
}

}  // namespace vmm::detail
