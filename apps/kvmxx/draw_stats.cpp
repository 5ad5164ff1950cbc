// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "stats.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <tuple>
#include <vmm/memory/guest_memory.hpp>

namespace kvmxx {

namespace {

constexpr std::size_t bar_width = 24;
constexpr std::size_t most_kvm_rows = 8;

struct Row {
    std::string name;
    std::uint64_t total = 0;
    std::uint64_t fresh = 0;  // of them, since the earlier snapshot
};

bool grew_more(const Row& a, const Row& b) {
    return std::tie(b.fresh, b.total, a.name) < std::tie(a.fresh, a.total, b.name);
}

std::uint64_t number(const Json& json) {
    return json.is_number_integer() && json >= 0 ? json.get<std::uint64_t>() : 0;
}

/// What `json` has by that name, or null: the file may be anybody's.
const Json& at(const Json& json, std::string_view name) {
    static const Json null;
    const auto found = json.is_object() ? json.find(name) : json.end();
    return found != json.end() ? *found : null;
}

std::string word(const Json& json) { return json.is_string() ? json.get<std::string>() : "?"; }

std::uint64_t grown(std::uint64_t now, std::uint64_t before) {
    return now > before ? now - before : 0;
}

/// Rows by name, those that grew most first; a bar shows each one's part of the whole.
void draw(std::string& text, const char* title, std::vector<Row> rows, double seconds) {
    std::erase_if(rows, [](const Row& row) { return row.total == 0; });
    if (rows.empty()) {
        return;
    }
    std::ranges::sort(rows, grew_more);
    std::uint64_t sum = 0;
    for (const Row& row : rows) {
        sum += row.fresh;
    }
    text += fmt::format("{:<28} {:>12} {:>12}\n", title, "total", "per second");
    for (const Row& row : rows) {
        const double part = sum > 0 ? double(row.fresh) / double(sum) : 0;
        const auto length = static_cast<std::size_t>(part * double(bar_width) + 0.5);
        const double rate = seconds > 0 ? double(row.fresh) / seconds : 0;
        text += fmt::format("{:<28} {:>12} {:>12.1f}{}{}\n", row.name, row.total, rate,
                            length > 0 ? "  " : "", std::string(length, '#'));
    }
}

std::vector<Row> exit_rows(const Json& now, const Json& before) {
    std::vector<Row> rows;
    for (const auto& [name, count] : now.items()) {
        const auto total = number(count);
        rows.push_back({name, total, grown(total, number(at(before, name)))});
    }
    return rows;
}

std::vector<Row> device_rows(const Json& now, const Json& before) {
    std::vector<Row> rows;
    const auto uses = [](const Json& device) {
        return number(at(device, "reads")) + number(at(device, "writes"));
    };
    for (const Json& device : now) {
        std::uint64_t then = 0;
        for (const Json& old : before) {
            if (at(old, "base") == at(device, "base") && at(old, "space") == at(device, "space")) {
                then = uses(old);
            }
        }
        rows.push_back({fmt::format("{} ({} {:#x})", word(at(device, "name")),
                                    word(at(device, "space")), number(at(device, "base"))),
                        uses(device), grown(uses(device), then)});
    }
    return rows;
}

std::vector<Row> nothing_rows(const Json& now, const Json& before) {
    std::vector<Row> rows;
    for (const char* space : {"port", "memory", "msr"}) {
        Row row{std::string(space), 0, 0};
        std::uint64_t then = 0;
        const auto add = [&](const Json& list, std::uint64_t& sum) {
            for (const Json& entry : list) {
                sum += number(at(entry, "reads")) + number(at(entry, "writes"));
            }
        };
        add(at(now, space), row.total);
        add(at(before, space), then);
        row.fresh = grown(row.total, then);
        rows.push_back(row);
    }
    return rows;
}

/// Those that grew most, of those that only grow.
std::vector<Row> kvm_rows(const Json& now, const Json& before) {
    std::vector<Row> rows;
    for (const auto& [name, statistic] : now.items()) {
        if (at(statistic, "cumulative") != true) {
            continue;
        }
        const auto total = number(at(statistic, "value"));
        const Json old = at(before, name);
        rows.push_back({name, total, grown(total, number(at(old, "value")))});
    }
    std::ranges::sort(rows, grew_more);
    if (rows.size() > most_kvm_rows) {
        rows.resize(most_kvm_rows);
    }
    return rows;
}

/// What has happened to each device, in its own words; the units are many, so there are no bars.
void draw_virtio(std::string& text, const Json& now, const Json& before, double seconds) {
    std::string lines;
    for (const auto& [device, statistics] : now.items()) {
        const Json& old = at(before, device);
        for (const auto& [name, statistic] : statistics.items()) {
            const auto value = number(at(statistic, "value"));
            if (value == 0) {
                continue;
            }
            lines += fmt::format("{:<28} {:>12}", fmt::format("{} {}", device, name), value);
            if (at(statistic, "cumulative") == true && seconds > 0) {
                const auto fresh = grown(value, number(at(at(old, name), "value")));
                lines += fmt::format(" {:>12.1f}", double(fresh) / seconds);
            }
            lines += '\n';
        }
    }
    if (!lines.empty()) {
        text += fmt::format("{:<28} {:>12} {:>12}\n", "virtio", "total", "per second") + lines;
    }
}

}  // namespace

std::string draw_stats(const Json& now, const Json& before) {
    const auto uptime = number(at(now, "uptime_ms"));
    const double seconds = double(grown(uptime, number(at(before, "uptime_ms")))) / 1000;
    const Json& memory = at(now, "memory");
    const std::size_t cpus = at(now, "cpu_exits").size();
    std::string text =
        fmt::format("kvmxx {}: {:.1f} s, {} CPU{}, {} of {} in memory{}\n", number(at(now, "pid")),
                    double(uptime) / 1000, cpus, cpus == 1 ? "" : "s",
                    vmm::describe_size(number(at(memory, "resident"))),
                    vmm::describe_size(number(at(memory, "bytes"))),
                    now.contains("end") ? ": " + word(at(now, "end")) : "");
    const auto table = [&](const char* title, auto rows, const char* name) {
        draw(text, title, rows(at(now, name), at(before, name)), seconds);
    };
    table("exits", exit_rows, "exits");
    table("devices", device_rows, "devices");
    draw_virtio(text, at(now, "virtio"), at(before, "virtio"), seconds);
    table("nothing is there", nothing_rows, "nothing");
    table("KVM itself", kvm_rows, "kvm");
    return text;
}

}  // namespace kvmxx
