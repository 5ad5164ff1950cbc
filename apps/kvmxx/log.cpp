// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "log.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <kvm/fd.hpp>
#include <memory>
#include <mutex>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace kvmxx {

namespace {

spdlog::level::level_enum level_of(vmm::LogLevel level) {
    switch (level) {
        case vmm::LogLevel::debug:
            return spdlog::level::debug;
        case vmm::LogLevel::info:
            return spdlog::level::info;
        case vmm::LogLevel::warn:
            return spdlog::level::warn;
        case vmm::LogLevel::error:
            break;
    }
    return spdlog::level::err;
}

/// A file to which each line is added whole, so that several machines may share it and whoever
/// turns logs over may truncate it.
class FileSink final : public spdlog::sinks::base_sink<std::mutex> {
public:
    FileSink(kvm::Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        const ssize_t written = ::write(fd_.number(), line.data(), line.size());
        if (written != static_cast<ssize_t>(line.size()) && !std::exchange(complained_, true)) {
            fmt::print(stderr, "kvmxx: --log: {}: {}: lines are lost\n", name_,
                       written < 0 ? std::strerror(errno) : "cut short");
        }
    }
    void flush_() override {}

    kvm::Fd fd_;
    std::string name_;
    bool complained_ = false;
};

}  // namespace

vmm::Result<vmm::Log> open_log(const LogOptions& options) {
    constexpr vmm::LogLevel by_verbosity[] = {vmm::LogLevel::warn, vmm::LogLevel::info,
                                              vmm::LogLevel::debug};
    vmm::LogLevel least = by_verbosity[std::clamp(options.verbosity, 0, 2)];
    const auto terminal = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    terminal->set_level(level_of(least));
    terminal->set_pattern("kvmxx: %n: %v");
    std::vector<spdlog::sink_ptr> sinks{terminal};
    if (!options.file.empty()) {
        kvm::Fd fd(::open(options.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
        if (!fd.valid()) {
            return vmm::fail_errno("--log: " + options.file, errno);
        }
        least = std::min(least, vmm::LogLevel::info);
        sinks.push_back(std::make_shared<FileSink>(std::move(fd), options.file));
        sinks.back()->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %P %l %n: %v");
    }
    // Without a registry, threads or other things of spdlog's that a program has once.
    return vmm::Log(least, [sinks, terminal](const vmm::LogLine& line) {
        const spdlog::string_view_t name(line.component.data(), line.component.size());
        const spdlog::string_view_t text(line.text.data(), line.text.size());
        const spdlog::details::log_msg message(name, level_of(line.level), text);
        for (const spdlog::sink_ptr& sink : sinks) {
            // A machine's error is what Machine::run() returns: the program says it, at its end.
            const bool comes_later = sink == terminal && line.level == vmm::LogLevel::error;
            if (sink->should_log(message.level) && !comes_later) {
                sink->log(message);
            }
        }
    });
}

}  // namespace kvmxx
