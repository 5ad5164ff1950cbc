// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <ostream>
#include <sstream>
#include <string>
#include <vmm/machine/console.hpp>
#include <vmm/sanitized.hpp>
#include <vmm/threads.hpp>

namespace vmm::test {

/// Keeps the output; `error` is what a write says instead.
struct Buffer final : Console {
    Result<std::size_t> write(std::span<const std::byte> bytes) override {
        const std::lock_guard lock(mutex);
        if (error) {
            return fail("buffer: full", error);
        }
        text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return bytes.size();
    }
    Result<Input> read(std::span<std::byte>, std::size_t& size) override {
        size = 0;
        return Input::end;
    }
    std::mutex mutex;
    std::string text;
    int error = 0;
};

/// What this process has that a machine could leave behind.
struct Resources {
    std::size_t descriptors = 0;
    std::size_t threads = 0;   ///< vCPUs' and machines'
    std::size_t mappings = 0;  ///< of KVM, and guests' RAM

    friend bool operator==(const Resources&, const Resources&) = default;
    friend std::ostream& operator<<(std::ostream& out, const Resources& r) {
        return out << r.descriptors << " descriptors, " << r.threads << " threads, " << r.mappings
                   << " mappings";
    }

    /// Whether the mapping that a line of /proc/self/smaps begins, with these VmFlags (proc(5)), is
    /// a guest's anonymous RAM. It has no name: what tells it from heaps and threads' stacks, which
    /// are the C library's to keep, is that it begins and ends at a huge page's border, as one
    /// stack in some hundred does, and that it is not reserved, as heaps are not, or of huge pages.
    /// Sanitizers have such memory of their own.
    static bool is_ram(const std::string& mapping, const std::string& flags) {
        constexpr unsigned long long huge_page = 2 << 20;
        std::istringstream words(mapping);
        unsigned long long begin = 0, end = 0;
        char dash = 0;
        std::string access, rest;
        words >> std::hex >> begin >> dash >> end >> access;
        std::getline(words >> std::ws, rest);
        return !sanitized && access == "rw-p" && rest.starts_with("00000000 00:00 0") &&
               rest.find_first_of("/[") == rest.npos && begin % huge_page == 0 &&
               end % huge_page == 0 &&
               (flags.find(" nr") != flags.npos || flags.find(" hg") != flags.npos);
    }
    static Resources now() {
        namespace fs = std::filesystem;
        Resources found;
        const fs::directory_iterator fds("/proc/self/fd");
        found.descriptors = static_cast<std::size_t>(std::distance(begin(fds), end(fds)));
        for (const Thread& thread : Thread::all()) {
            found.threads += thread.name.starts_with("vcpu") || thread.name.starts_with("machine");
        }
        std::ifstream maps("/proc/self/smaps");
        for (std::string line, mapping; std::getline(maps, line);) {
            if (line.starts_with("VmFlags:")) {
                found.mappings += mapping.find("kvm") != std::string::npos || is_ram(mapping, line);
            } else if (line.find('-') < line.find(':')) {
                mapping = line;
            }
        }
        return found;
    }
};

}  // namespace vmm::test
