// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <vmm/machine/settings/values.hpp>

namespace vmm::detail {

std::unexpected<Error> refuse(std::string_view text, std::string_view want) {
    return fail(fmt::format("'{}' is not {}", text, want), EINVAL);
}

bool read_number(std::string_view text, std::uint64_t& value, std::string_view& rest) {
    const bool hex = text.starts_with("0x") || text.starts_with("0X");
    text.remove_prefix(hex ? 2 : 0);
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
    rest = text.substr(static_cast<std::size_t>(end - text.data()));
    return error == std::errc();
}

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t max,
                                   std::string_view want) {
    std::uint64_t value = 0;
    std::string_view rest;
    if (!read_number(text, value, rest) || !rest.empty() || value > max) {
        return refuse(text, want);
    }
    return value;
}

Result<std::uint64_t> parse_size(std::string_view text) {
    constexpr std::string_view want = "a size, such as 512M or 2G";
    static constexpr std::string_view units = "KMGT";
    std::uint64_t value = 0;
    std::string_view rest;
    if (!read_number(text, value, rest)) {
        return refuse(text, want);
    }
    std::uint64_t factor = 1;
    if (!rest.empty()) {
        const auto unit = units.find(static_cast<char>(rest[0] & ~0x20));
        rest.remove_prefix(1);
        if (unit == units.npos || !(rest.empty() || rest == "iB" || rest == "B")) {
            return refuse(text, want);
        }
        factor = std::uint64_t{1} << (10 * (unit + 1));
    }
    if (value > ~std::uint64_t{0} / factor) {
        return refuse(text, "a size below 16 EiB");
    }
    return value * factor;
}

std::string size_text(std::uint64_t bytes) {
    std::size_t unit = 0;
    while (unit < 4 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{}", bytes) : fmt::format("{}{}", bytes, "KMGT"[unit - 1]);
}

Result<std::chrono::milliseconds> parse_seconds(std::string_view text) {
    double seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size() || !(seconds > 0) ||
        seconds > 1e9) {
        return refuse(text, "a number of seconds above 0");
    }
    return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(seconds * 1000)));
}

std::string seconds_text(std::chrono::milliseconds time) {
    return fmt::format("{}", double(time.count()) / 1000);
}

}  // namespace vmm::detail
