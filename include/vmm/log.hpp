// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

/// What the toolkit has to say beside errors. There is no global log: whoever makes a machine or a
/// device hands it a Log, and without one nothing is said.
namespace vmm {

enum class LogLevel : std::uint8_t {
    debug,  ///< for who looks for a fault: phases, single accesses
    info,   ///< what happens once in a machine's life
    warn,   ///< something does not work, and the machine goes on: a device that the guest lied to
    error,  ///< something failed
};
/// "debug", "info", ...
const char* describe(LogLevel level);

/// One line. The text has no newline at its end; what a guest wrote is in it escaped.
struct LogLine {
    LogLevel level;
    std::string_view component;  ///< who says so: "machine", "virtio-blk0"
    std::string_view text;
};

/// How often a line may be said that a guest can cause again and again: the first ten times, then
/// each time the count has doubled.
class LogLimit {
public:
    static constexpr std::uint64_t first = 10;

    /// Counts one. The count if the line is to be said, or 0.
    std::uint64_t take();
    std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> count_ = 0;
};

/// Where lines go: a handle, cheap to copy and to keep; null unless made with a sink. Any thread.
class Log {
public:
    /// Gets each line, from any thread, from several at once. It must not throw, and not wait for
    /// the machine.
    using Sink = std::function<void(const LogLine&)>;

    Log() = default;
    /// Lines below `least` are not said.
    Log(LogLevel least, Sink sink);

    /// Whether such a line would be heard: ask before a text is made at some cost.
    bool wants(LogLevel level) const { return target_ && level >= target_->least; }

    void say(LogLevel level, std::string_view component, std::string_view text) const {
        if (wants(level)) {
            target_->sink({level, component, text});
        }
    }
    void debug(std::string_view component, std::string_view text) const {
        say(LogLevel::debug, component, text);
    }
    void info(std::string_view component, std::string_view text) const {
        say(LogLevel::info, component, text);
    }
    void warn(std::string_view component, std::string_view text) const {
        say(LogLevel::warn, component, text);
    }
    void error(std::string_view component, std::string_view text) const {
        say(LogLevel::error, component, text);
    }
    /// The same, as often as `limit` allows; later lines end in how often it was.
    void say(LogLimit& limit, LogLevel level, std::string_view component,
             std::string_view text) const;

private:
    struct Target {
        LogLevel least;
        Sink sink;
    };
    std::shared_ptr<const Target> target_;
};

}  // namespace vmm
