// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <ostream>
#include <string>
#include <vmm/machine/console.hpp>

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
    std::size_t threads = 0;  ///< vCPUs' and machines'
    std::size_t mappings = 0;

    friend bool operator==(const Resources&, const Resources&) = default;
    friend std::ostream& operator<<(std::ostream& out, const Resources& r) {
        return out << r.descriptors << " descriptors, " << r.threads << " threads, " << r.mappings
                   << " mappings";
    }

    static Resources now() {
        namespace fs = std::filesystem;
        Resources found;
        const fs::directory_iterator fds("/proc/self/fd");
        found.descriptors = static_cast<std::size_t>(std::distance(begin(fds), end(fds)));
        for (const auto& task : fs::directory_iterator("/proc/self/task")) {
            std::string name;
            std::getline(std::ifstream(task.path() / "comm") >> std::ws, name);
            found.threads += name.starts_with("vcpu") || name.starts_with("machine");
        }
        std::ifstream maps("/proc/self/maps");
        for (std::string line; std::getline(maps, line);) {
            // RAM, kvm_run: the heap and threads' stacks are the C library's to keep.
            found.mappings += line.find("kvm") != std::string::npos;
        }
        return found;
    }
};

}  // namespace vmm::test
