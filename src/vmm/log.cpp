// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <bit>
#include <fmt/format.h>
#include <utility>
#include <vmm/log.hpp>

namespace vmm {

const char* describe(LogLevel level) {
    switch (level) {
        case LogLevel::debug:
            return "debug";
        case LogLevel::info:
            return "info";
        case LogLevel::warn:
            return "warn";
        case LogLevel::error:
            return "error";
    }
    return "?";
}

std::uint64_t LogLimit::take() {
    const std::uint64_t count = count_.fetch_add(1, std::memory_order_relaxed) + 1;
    return count <= first || std::has_single_bit(count) ? count : 0;
}

Log::Log(LogLevel least, Sink sink)
    : target_(std::make_shared<const Target>(least, std::move(sink))) {}

void Log::say(LogLimit& limit, LogLevel level, std::string_view component,
              std::string_view text) const {
    if (const std::uint64_t count = limit.take(); count && wants(level)) {
        say(level, component,
            count <= LogLimit::first ? std::string(text)
                                     : fmt::format("{} ({} times by now)", text, count));
    }
}

}  // namespace vmm
