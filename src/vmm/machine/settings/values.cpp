// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <kvm/try.hpp>
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
    constexpr std::string_view want = "a number of seconds above 0, such as 1.5";
    const auto dot = std::min(text.find('.'), text.size());
    const std::string_view fraction = text.substr(std::min(dot + 1, text.size()));
    std::uint64_t time = 0;  // std::from_chars of a double would need libm
    if (text.find_first_of("0123456789") == text.npos ||
        text.find_first_not_of("0123456789") != (dot < text.size() ? dot : text.npos) ||
        fraction.find_first_not_of("0123456789") != text.npos) {
        return refuse(text, want);
    }
    if (dot > 0) {
        time = 1000 * KVM_TRY(parse_number(text.substr(0, dot), 1'000'000'000, want));
    }
    std::uint64_t unit = 100, beyond = 0;
    for (const char digit : fraction) {
        const auto value = static_cast<std::uint64_t>(digit - '0');
        time += unit * value;
        beyond |= unit == 0 ? value : 0;
        unit /= 10;
    }
    time += beyond != 0;
    if (time == 0) {
        return refuse(text, want);
    }
    return std::chrono::milliseconds(time);
}

std::string seconds_text(std::chrono::milliseconds time) {
    return fmt::format("{}", double(time.count()) / 1000);
}

}  // namespace vmm::detail
