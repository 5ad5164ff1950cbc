// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Joins the library's facts with the installed header's, or with a table of them, by the kernel's
// names.

#include "fact.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fnmatch.h>
#include <fstream>
#include <iostream>
#include <kvm/kvm.hpp>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Table = std::map<std::string, unsigned long>;

int failures = 0;

void failure(const std::string& text) {
    std::cout << "WRONG: " << text << '\n';
    ++failures;
}

std::string hex(unsigned long value) {
    std::ostringstream text;
    text << std::hex << std::showbase << value;
    return text.str();
}

/// Which of Linux 7.2's three columns an ioctl's identifier belongs to.
std::size_t column(std::string_view identifier, std::size_t otherwise) {
    return identifier.starts_with("kvm::op::x86_64::")    ? 0
           : identifier.starts_with("kvm::op::aarch64::") ? 1
           : identifier.starts_with("kvm::op::riscv64::") ? 2
                                                          : otherwise;
}

/// This architecture's.
#if defined(__aarch64__)
constexpr std::size_t here = 1;
#elif defined(__riscv)
constexpr std::size_t here = 2;
#else
constexpr std::size_t here = 0;
#endif

/// Adds a fact; the library may state one twice, but not in two ways.
void add(Table& table, const std::string& name, unsigned long value) {
    const auto [place, added] = table.emplace(name, value);
    if (!added && place->second != value) {
        failure(name + " is stated twice: " + hex(place->second) + " and " + hex(value));
    }
}

Table ours() {
    Table table;
    for (unsigned long i = 0; i < facts_ours_count; ++i) {
        const std::string name = facts_ours[i].name;
        if (name.starts_with("ioctl ")) {
            if (facts_ours[i].value == 0) {
                failure(name + " has another name than its identifier says");
            }
            i += column(name.substr(6), here) !=
                 here;  // of another architecture: not in this host's header
        } else if (name.starts_with("no kernel name")) {
            failure(name + ": say it in the enum's comment, or in EXCEPTIONS of facts.py");
        } else {
            add(table, name, facts_ours[i].value);
        }
    }
    for (const auto& cap : kvm::cap::all) {
        add(table, std::string("KVM_CAP_") + cap.name, static_cast<unsigned long>(cap.number));
    }
    for (unsigned i = 0; i < kvm::exit_reason_count; ++i) {
        add(table, std::string("KVM_EXIT_") + kvm::name(kvm::ExitReason(i)), i);
    }
    return table;
}

Table theirs() {
    Table table;
    for (unsigned long i = 0; i < facts_theirs_count; ++i) {
        table.emplace(facts_theirs[i].name, facts_theirs[i].value);
    }
    return table;
}

/// A name of Linux 7.2: "ioctl", "cap" or "exit", and the number on x86_64, aarch64, riscv64.
struct Known {
    std::string kind;
    std::string numbers[3];
};

/// The rows of a file of words; # begins a comment.
std::vector<std::vector<std::string>> rows(const char* path) {
    std::ifstream file(path);
    if (!file) {
        failure(std::string("cannot read ") + path);
    }
    std::vector<std::vector<std::string>> result;
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line.substr(0, line.find('#')));
        std::vector<std::string> row;
        for (std::string word; words >> word;) {
            row.push_back(word);
        }
        if (!row.empty()) {
            result.push_back(row);
        }
    }
    return result;
}

std::map<std::string, Known> linux_7_2(const char* path) {
    std::map<std::string, Known> known;
    for (const auto& row : rows(path)) {
        if (row.size() == 5) {
            known[row[1]] = {row[0], {row[2], row[3], row[4]}};
        } else {
            failure(std::string(path) + ": a row has not five columns: " + row[0]);
        }
    }
    if (known.size() < 244 + 44 + 100) {
        failure(std::string(path) + " is not complete");
    }
    return known;
}

/// The structure's or constant's name in a fact's name.
std::string subject(const std::string& fact) {
    return fact.starts_with("sizeof ") ? fact.substr(7) : fact.substr(0, fact.find(' '));
}

/// Whether `name`, or the structure that it is in, is listed.
bool listed(const std::set<std::string>& names, std::string name) {
    while (!names.contains(name)) {
        const auto dot = name.rfind('.');
        if (dot == std::string::npos) {
            return false;
        }
        name.resize(dot);
    }
    return true;
}

/// Whether only x86_64's header states it, and this is another's; or the value is that of an
/// architecture that has no dirty ring yet (before Linux 6.3).
bool of_another_architecture(const std::string& name) {
    return here != 0 && (name.starts_with("KVM_X86_") || name.starts_with("KVM_XEN_HVM_CONFIG_") ||
                         name == "KVM_DIRTY_LOG_PAGE_OFFSET");
}

/// Every fact of ours that the installed header states is the same there. The others must be known
/// as newer: in Linux 7.2's table, which against_linux() compares, or in a list, which is all the
/// check that they get.
void against_header(const char* linux_path, const char* newer_path) {
    const Table header = theirs();
    const auto known = linux_7_2(linux_path);
    std::set<std::string> newer;
    for (const auto& row : rows(newer_path)) {
        newer.insert(row[0]);
    }
    std::set<std::string> unchecked;
    std::size_t compared = 0, in_table = 0;
    for (const auto& [name, value] : ours()) {
        if (of_another_architecture(name)) {
            continue;
        }
        const auto found = header.find(name);
        if (found != header.end()) {
            ++compared;
            if (found->second != value) {
                failure(name + ": " + hex(value) + " here, " + hex(found->second) +
                        " in the header");
            }
        } else if (known.contains(name)) {
            ++in_table;
        } else if (listed(newer, subject(name))) {
            unchecked.insert(subject(name));
        } else {
            failure(name + " is not in the installed header: if it is newer, add it to " +
                    newer_path);
        }
    }
    for (const auto& name : unchecked) {
        std::cout << "unchecked: newer than this header: " << name << '\n';
    }
    std::cout << compared
              << " facts compared with the installed header; newer than it: " << in_table
              << " in the table of Linux 7.2, " << unchecked.size() << " names unchecked; "
              << failures << " wrong\n";
}

/// A fact of ours against Linux 7.2's: where the kernel implements it, and where it only has a
/// number.
void same_number(const std::string& name, unsigned long value, const Known& known, std::size_t at) {
    const std::string* number = &known.numbers[at];
    for (std::size_t i = 0; *number == "-" && i < 3; ++i) {
        number = &known.numbers[i];
    }
    const unsigned long expected = std::strtoul(number->c_str(), nullptr, 0);
    if (value != expected) {
        failure(name + ": " + hex(value) + " here, " + hex(expected) + " in Linux 7.2");
    }
}

/// Every ioctl, capability and exit of ours is Linux 7.2's; every capability and exit of Linux 7.2
/// is here, and every ioctl of x86_64 is here or named.
void against_linux(const char* path) {
    const Table mine = ours();
    const auto known = linux_7_2(path);
    std::size_t ioctls = 0, absent = 0;
    for (unsigned long i = 0; i + 1 < facts_ours_count; ++i) {
        const std::string_view fact = facts_ours[i].name;
        if (!fact.starts_with("ioctl ")) {
            continue;
        }
        ++ioctls;
        const auto& [name, value] = facts_ours[i + 1];  // comes right after the check of its name
        if (const auto found = known.find(name); found == known.end()) {
            failure(std::string(name) + " is no ioctl of Linux 7.2");
        } else {
            same_number(name, value, found->second, column(fact.substr(6), here));
        }
    }
    for (const auto& [name, row] : known) {
        const auto found = mine.find(name);
        if (row.kind == "ioctl") {
            if (row.numbers[here] != "-" && found == mine.end()) {
                std::cout << "not in the library: " << name << '\n';
                ++absent;
            }
        } else if (found == mine.end()) {
            failure(name + " is missing");
        } else {
            same_number(name, found->second, row, here);
        }
    }
    std::cout << ioctls << " ioctls, " << std::size(kvm::cap::all) << " capabilities, "
              << kvm::exit_reason_count << " exits compared with Linux 7.2; " << absent
              << " ioctls of this architecture are not in the library; " << failures << " wrong\n";
}

/// Whether a row of left_out.txt holds for `name`: a pattern matches and this is not the row's
/// architecture.
bool holds(const std::vector<std::string>& row, const std::string& name) {
    constexpr const char* not_here[] = {"!x86_64", "!aarch64", "!riscv64"};
    return row.back() != not_here[here] &&
           std::ranges::any_of(row, [&](const std::string& pattern) {
               return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
           });
}

/// Every fact of the installed header is in the library, or in the list of those that are left out.
/// A structure stands for its fields.
void absent_here(const char* left_out_path) {
    Table mine = ours();
    for (unsigned long i = 1; i < facts_ours_count; ++i) {  // ioctls of another architecture too
        if (std::string_view(facts_ours[i - 1].name).starts_with("ioctl ")) {
            mine.emplace(facts_ours[i].name, 0);
        }
    }
    const auto left_out = rows(left_out_path);
    std::size_t count = 0;
    for (const auto& [fact, value] : theirs()) {
        const std::string name = subject(fact);
        const auto dot = name.find('.');
        const bool nested =
            dot != std::string::npos && name.find('.', dot + 1) != std::string::npos;
        const bool of_known =
            dot == std::string::npos || mine.contains("sizeof " + name.substr(0, dot));
        if (mine.contains(fact) || nested || !of_known || fact.ends_with(" size")) {
            continue;
        }
        ++count;
        if (std::ranges::none_of(left_out, [&](const auto& row) { return holds(row, name); })) {
            failure(name + " is not in the library: add it, or say in " + left_out_path +
                    " why not");
        }
    }
    std::cout << count << " facts of the installed header are left out, each for a reason; "
              << failures << " wrong\n";
}

}  // namespace

int main(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    if (what == "header" && argc == 4) {
        against_header(argv[2], argv[3]);
    } else if (what == "linux" && argc == 3) {
        against_linux(argv[2]);
    } else if (what == "absent" && argc == 3) {
        absent_here(argv[2]);
    } else {
        std::puts("compare header LINUX.TSV NEWER.TXT | linux LINUX.TSV | absent LEFT_OUT.TXT");
        return 2;
    }
    return failures ? 1 : 0;
}
