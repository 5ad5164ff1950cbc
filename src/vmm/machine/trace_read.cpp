// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/boot/image.hpp>
#include <vmm/machine/settings.hpp>
#include <vmm/machine/trace_text.hpp>

namespace vmm {

namespace {

std::unexpected<Error> bad(std::string cause) { return fail(std::move(cause), EINVAL); }

bool number(std::string_view text, std::uint64_t& value) {
    const bool hex = text.starts_with("0x");
    text.remove_prefix(hex ? 2 : 0);
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
    return error == std::errc() && end == text.data() + text.size();
}

/// Microseconds, "81.234", as nanoseconds.
bool microseconds(std::string_view text, std::uint64_t& value) {
    constexpr std::uint64_t most = std::uint64_t(1) << 50;  // 36 years
    const auto point = text.find('.');
    std::uint64_t fraction = 0;
    if (point == text.npos || text.size() - point != 4 || !number(text.substr(0, point), value) ||
        !number(text.substr(point + 1), fraction) || value > most / 1000) {
        return false;
    }
    value = value * 1000 + fraction;
    return true;
}

bool hex_bytes(std::string_view text, std::string& bytes) {
    if (text.size() % 2 != 0) {
        return false;
    }
    for (std::size_t i = 0; i < text.size(); i += 2) {
        unsigned byte = 0;
        const char* const begin = text.data() + i;
        const auto [end, error] = std::from_chars(begin, begin + 2, byte, 16);
        if (error != std::errc() || end != begin + 2) {
            return false;
        }
        bytes += static_cast<char>(byte);
    }
    return true;
}

/// The words of a line, `name` and `key=value`.
class Words {
public:
    explicit Words(std::string_view line) : rest_(line) {}

    /// The next word; "" at the end.
    std::string_view next() {
        rest_.remove_prefix(std::min(rest_.find_first_not_of(' '), rest_.size()));
        const std::string_view word = rest_.substr(0, rest_.find(' '));
        rest_.remove_prefix(word.size());
        return word;
    }
    std::string_view rest() const { return rest_; }

    // Fields, in the order in which they are written. What is missing or wrong is remembered.
    std::uint64_t take(std::string_view key, std::uint64_t most = ~std::uint64_t(0)) {
        std::uint64_t value = 0;
        if (const auto text = field(key); !number(text, value) || value > most) {
            complain(key);
        }
        return value;
    }
    std::string take_bytes(std::string_view key, std::size_t least, std::size_t most) {
        std::string bytes;
        if (!hex_bytes(field(key), bytes) || bytes.size() < least || bytes.size() > most) {
            complain(key);
        }
        return bytes;
    }
    std::uint64_t take_time(std::string_view key) {
        std::uint64_t value = 0;
        if (!microseconds(field(key), value)) {
            complain(key);
        }
        return value;
    }
    /// Whether the next field is that one.
    bool has(std::string_view key) const {
        Words ahead(rest_);
        const auto word = ahead.next();
        return word.starts_with(key) && word.substr(key.size()).starts_with('=');
    }
    void complain(std::string_view key) {
        if (wrong_.empty()) {
            wrong_ = key;
        }
    }
    /// Errors: EINVAL, the first field that was wrong, or what is left over.
    Result<void> finish() {
        if (!wrong_.empty()) {
            return bad(fmt::format("field '{}' is missing or wrong", wrong_));
        }
        if (const auto more = next(); !more.empty()) {
            return bad(fmt::format("'{}' is one word too many", more));
        }
        return {};
    }

private:
    std::string_view field(std::string_view key) {
        return has(key) ? next().substr(key.size() + 1) : std::string_view();
    }

    std::string_view rest_;
    std::string_view wrong_;
};

std::uint8_t take_width(Words& words) {
    const auto size = words.take("size", 4);
    if (size != 1 && size != 2 && size != 4) {
        words.complain("size");
    }
    return static_cast<std::uint8_t>(size);
}

fake::ExitData read_io_out(Words& words) {
    fake::IoOut io{kvm::Port(static_cast<std::uint16_t>(words.take("port", 0xffff))), {}, 1};
    io.size = take_width(words);
    io.data = words.take_bytes("data", 1, fake::io_room);
    if (io.size == 0 || io.data.size() % io.size != 0) {
        words.complain("data");
    }
    return io;
}

fake::ExitData read_io_in(Words& words) {
    fake::IoIn io{kvm::Port(static_cast<std::uint16_t>(words.take("port", 0xffff))), 1, 1, {}};
    io.size = take_width(words);
    io.count = static_cast<std::uint32_t>(words.take("count", fake::io_room));
    const std::size_t bytes = std::size_t(io.size) * io.count;
    if (bytes == 0 || bytes > fake::io_room) {
        words.complain("count");
    }
    io.reply = words.take_bytes("reply", bytes, bytes);
    return io;
}

fake::ExitData read_mmio_read(Words& words) {
    fake::MmioRead mmio{kvm::Gpa(words.take("address")), 1, {}};
    mmio.size = static_cast<std::uint32_t>(words.take("size", 8));
    mmio.reply = words.take_bytes("reply", std::max(mmio.size, 1u), mmio.size);
    return mmio;
}

/// The exit that the rest of the line is, after its name. Fields that are wrong are in `words`.
std::optional<fake::ExitData> read_exit(std::string_view name, Words& words) {
    using namespace fake;
    constexpr std::uint64_t word = 0xffffffff;
    const auto take32 = [&](std::string_view key) {
        return static_cast<std::uint32_t>(words.take(key, word));
    };
    if (name == "io_out") {
        return read_io_out(words);
    }
    if (name == "io_in") {
        return read_io_in(words);
    }
    if (name == "mmio_write") {
        const kvm::Gpa address(words.take("address"));
        return MmioWrite{address, words.take_bytes("data", 1, 8)};
    }
    if (name == "mmio_read") {
        return read_mmio_read(words);
    }
    if (name == "rdmsr") {
        Rdmsr msr{.index = take32("index"), .why = kvm::MsrExitReason(take32("why"))};
        msr.reply = words.take("reply");
        msr.error = static_cast<std::uint8_t>(words.take("error", 255));
        return msr;
    }
    if (name == "wrmsr") {
        Wrmsr msr{.index = take32("index"), .value = words.take("value")};
        msr.why = kvm::MsrExitReason(take32("why"));
        msr.error = static_cast<std::uint8_t>(words.take("error", 255));
        return msr;
    }
    if (name == "internal_error") {
        const std::uint32_t suberror = take32("suberror");
        return InternalError{suberror, words.take_bytes("insn", 0, 15)};
    }
    if (name == "fail_entry") {
        return FailEntry{words.take("reason")};
    }
    if (name == "system_event") {
        return SystemEvent{kvm::exit::SystemEventType(take32("type"))};
    }
    if (name == "memory_fault") {
        const kvm::Gpa address(words.take("address"));
        return MemoryFault{address, words.take("size")};
    }
    if (name == "exit") {
        const OtherExit other{kvm::ExitReason(take32("reason"))};
        if (words.has("name")) {
            words.next();  // for people
        }
        return other;
    }
    return {};
}

Result<TraceEffect> read_effect(Words& words) {
    const auto name = words.next();
    TraceEffect effect;
    if (name == "irq") {
        const auto gsi = kvm::Gsi(static_cast<std::uint32_t>(words.take("gsi", 0xffffffff)));
        effect = PinChange{gsi, kvm::Level(static_cast<std::uint32_t>(words.take("level", 1)))};
    } else if (name == "clock") {
        const bool real = words.has("realtime");
        effect = ClockRead{real ? TraceClock::realtime : TraceClock::monotonic,
                           words.take(real ? "realtime" : "monotonic")};
    } else {
        return bad(fmt::format("'{}' is no effect", name));
    }
    KVM_TRY(words.finish());
    return effect;
}

Result<TraceEvent> read_event(Words& words, std::string_view time, std::uint32_t cpus) {
    TraceEvent event;
    if (!microseconds(time, event.time)) {
        return bad(fmt::format("'{}' is no time", time));
    }
    const auto kind = words.next();
    if (kind == "cpu") {
        std::uint64_t cpu = 0;
        if (!number(words.next(), cpu) || cpu >= cpus) {
            return bad("no such vCPU");
        }
        event.cpu = static_cast<std::uint32_t>(cpu);
        const auto name = words.next();
        const auto exit = read_exit(name, words);
        if (!exit) {
            return bad(fmt::format("'{}' is no exit", name));
        }
        event.what = *exit;
        event.took = words.take_time("took");
    } else if (kind == "mark") {
        event.what = TraceMark{std::string(words.next())};
        if (words.has("cpu")) {
            event.cpu = static_cast<std::uint32_t>(words.take("cpu", cpus - 1));
        }
    } else if (kind == "input") {
        const auto from = words.next();
        if (from == "console") {
            event.what = ConsoleInput{words.take_bytes("data", 1, 4096)};
        } else if (from == "button") {
            event.what = ButtonPress{};
        } else {
            return bad(fmt::format("'{}' is no input", from));
        }
    } else if (kind == "devices") {
        event.what = OwnAccord{};
    } else if (kind == "end") {
        event.what = TraceEnd{std::string(words.next())};
    } else {
        return bad(fmt::format("'{}' is no event", kind));
    }
    KVM_TRY(words.finish());
    return event;
}

Result<void> read_config(Words& words, MachineConfig& config) {
    const auto name = words.next();
    std::string_view text = words.rest();
    text.remove_prefix(text.starts_with(' ') ? 1 : 0);
    std::string value;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escape = text[i] == '\\' && i + 1 < text.size();
        i += escape ? 1 : 0;
        value += escape && text[i] == 'n' ? '\n' : text[i];
    }
    const Setting* const setting = find_setting(name);
    if (!setting || !detail::is_recorded(name)) {
        return bad(fmt::format("config: there is no setting '{}'", name));
    }
    if (auto set = setting->set(config, value); !set) {
        return bad(fmt::format("config: {}: {}", name, detail::escaped(set.error().message)));
    }
    return {};
}

Result<void> read_line(std::string_view line, Trace& trace) {
    Words words(line);
    const bool indented = line.starts_with(' ');
    if (indented) {
        if (trace.events.empty()) {
            return bad("an effect of nothing");
        }
        trace.events.back().effects.push_back(KVM_TRY(read_effect(words)));
        return {};
    }
    const auto first = words.next();
    if (first.empty() || first.starts_with('#')) {
        return {};
    }
    if (first == "config") {
        if (!trace.events.empty()) {
            return bad("config: after an event");
        }
        return read_config(words, trace.config);
    }
    if (first == "beside") {
        trace.beside.emplace_back(words.next());
        return words.finish();
    }
    trace.events.push_back(KVM_TRY(read_event(words, first, trace.config.cpus)));
    return {};
}

}  // namespace

Result<Trace> Trace::parse(std::string_view text, std::string_view name) {
    if (!text.starts_with(detail::trace_head)) {
        return fail(fmt::format("{}: no recording of version 1: it does not begin with '{}'", name,
                                detail::trace_head.substr(0, detail::trace_head.size() - 1)),
                    EPROTO);
    }
    Trace trace;
    text.remove_prefix(detail::trace_head.size());
    for (std::size_t number = 2; !text.empty(); ++number) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const std::size_t before = trace.events.size();
        if (auto read = read_line(line, trace); !read) {
            return fail(fmt::format("{}: line {}: {}", name, number, read.error().message),
                        read.error().code);
        }
        if (trace.events.size() > before) {
            trace.events.back().line = number;
        }
    }
    return trace;
}

Result<Trace> Trace::read(const std::string& path) {
    const Image file = KVM_TRY(Image::open(path));
    std::string text(file.size(), '\0');
    KVM_TRY(file.read(0, std::as_writable_bytes(std::span(text)), "the recording"));
    return parse(text, path);
}

}  // namespace vmm
