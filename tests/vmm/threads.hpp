// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace vmm::test {

struct Thread {
    pid_t id;
    std::string name;

    /// Those of this process that go on. One that was joined is in /proc/self/task for a moment
    /// yet, and so are io_uring's, after their ring.
    static std::vector<Thread> all() {
        std::vector<Thread> found;
        for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
            std::string stat;  // proc(5): "ID (NAME) STATE PPID PGRP SESSION TTY TPGID FLAGS"
            std::getline(std::ifstream(task.path() / "stat"), stat);
            const std::size_t begin = stat.find('('), end = stat.rfind(')');
            if (begin == stat.npos || end == stat.npos) {
                continue;  // gone while we looked
            }
            constexpr unsigned pf_exiting = 4;  // the kernel's, of all versions
            std::string name = stat.substr(begin + 1, end - begin - 1);
            std::istringstream words(stat.substr(end + 1));
            const std::vector<std::string> fields{std::istream_iterator<std::string>(words), {}};
            if ((std::stoul(fields.at(6)) & pf_exiting) == 0 && !name.starts_with("iou-")) {
                found.push_back({std::stoi(stat), std::move(name)});
            }
        }
        return found;
    }
};

}  // namespace vmm::test
