// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <vmm/error.hpp>
#include <vmm/machine/settings.hpp>

/// What the tables of settings read their values with, and print them.
namespace vmm::detail {

using Values = std::vector<std::string>;

/// "'text' is not want", EINVAL.
std::unexpected<Error> refuse(std::string_view text, std::string_view want);

/// A number, decimal or 0x..., at the beginning of `text`; what is left behind it goes to `rest`.
bool read_number(std::string_view text, std::uint64_t& value, std::string_view& rest);

/// A number, decimal or 0x..., up to `max`. Errors: "'text' is not want".
Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t max, std::string_view want);

/// Bytes, or with K, M, G, T.
Result<std::uint64_t> parse_size(std::string_view text);
/// The shortest text that parse_size() reads as `bytes`.
std::string size_text(std::uint64_t bytes);

/// Seconds above 0, fractions too.
Result<std::chrono::milliseconds> parse_seconds(std::string_view text);
std::string seconds_text(std::chrono::milliseconds time);

/// None if it is empty.
inline Values optional_value(const std::string& text) {
    return text.empty() ? Values{} : Values{text};
}

/// The values of an enumeration, or members of a structure, and their names.
template <typename T, std::size_t N>
using Names = std::array<std::pair<std::string_view, T>, N>;

/// What `text` names. Errors: "'text' is not want".
template <typename T, std::size_t N>
Result<T> parse_name(const Names<T, N>& names, std::string_view text, std::string_view want) {
    const auto found = std::ranges::find(names, text, [](const auto& e) { return e.first; });
    if (found == names.end()) {
        return refuse(text, want);
    }
    return found->second;
}

/// The name of `value`, which has one.
template <typename T, std::size_t N>
std::string name_of(const Names<T, N>& names, T value) {
    return std::string(
        std::ranges::find(names, value, [](const auto& e) { return e.second; })->first);
}

/// Of a setting whose value is not made of parts.
inline constexpr std::span<const Key> no_keys;

/// A setting that is on or off.
template <bool MachineConfig::* field>
constexpr Setting flag_of(std::string_view name, std::string_view help) {
    return {name,
            SettingKind::flag,
            "",
            help,
            "",
            [](MachineConfig& c, const std::string& text) {
                c.*field = text == "true";
                return Result<void>();
            },
            [](const MachineConfig& c) { return c.*field ? Values{"true"} : Values{}; }};
}

}  // namespace vmm::detail
