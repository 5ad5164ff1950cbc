// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <vmm/machine/recorder.hpp>
#include <vmm/machine/trace_text.hpp>

namespace vmm::detail {

namespace {

constexpr std::size_t buffer_size = 64 << 10;

}  // namespace

Recorder::Recorder(const MachineConfig& config) : path_(config.trace), limit_(config.trace_limit) {
    buffer_.reserve(buffer_size);
    append(trace_head);
    append(config_lines(config));
}

Result<void> Recorder::open() {
    const std::lock_guard lock(file_mutex_);
    const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return about_setting("trace", fail_errno(path_, errno).error());
    }
    file_ = kvm::Fd(fd);
    return {};
}

Recorder::~Recorder() {
    const std::lock_guard lock(file_mutex_);
    flush();
}

void Recorder::mark(std::string_view name) {
    const Turn turn(*this);
    write({.time = now(), .what = TraceMark{std::string(name)}, .effects = {}});
}

void Recorder::mark_run(std::uint32_t cpu) {
    const Turn turn(*this);
    write({.time = now(), .cpu = cpu, .what = TraceMark{"run"}, .effects = {}});
}

void Recorder::end(std::string_view reason) {
    const Turn turn(*this);
    write({.time = now(), .what = TraceEnd{std::string(reason)}, .effects = {}});
    const std::lock_guard lock(file_mutex_);
    flush();
}

void Recorder::write_exit(std::uint64_t time, std::uint32_t cpu, const fake::ExitData& exit) {
    write({.time = time,
           .took = now() - time,
           .cpu = cpu,
           .what = exit,
           .effects = std::move(effects_)});
    if (first_output_.exchange(false, std::memory_order_relaxed)) {
        write({.time = now(), .what = TraceMark{"console"}, .effects = {}});
    }
}

void Recorder::effect(const TraceEffect& effect) {
    if (turn_.load(std::memory_order_relaxed) == std::this_thread::get_id()) {
        effects_.push_back(effect);
        return;
    }
    write({.time = now(), .what = OwnAccord{}, .effects = {effect}});
}

void Recorder::pin_changed(PinChange change) { effect(change); }

std::uint64_t Recorder::clock_read(ClockRead read) {
    effect(read);
    return read.value;
}

std::string Recorder::problem() const {
    const std::lock_guard lock(file_mutex_);
    return problem_;
}

void Recorder::write(const TraceEvent& event) {
    const std::lock_guard lock(file_mutex_);
    if (full_) {
        return;
    }
    append(event_lines(event));
    if (written_ + buffer_.size() > limit_) {
        append(event_lines({.time = now(), .what = TraceMark{"full"}, .effects = {}}));
        flush();
        full_ = true;
        problem_ =
            fmt::format("trace: {}: full at {} bytes, what came later is not there", path_, limit_);
    }
}

void Recorder::append(std::string_view text) {
    if (full_) {
        return;
    }
    buffer_ += text;
    if (buffer_.size() >= buffer_size) {
        flush();
    }
}

void Recorder::flush() {
    if (!file_.valid()) {
        return;  // the machine is not made yet
    }
    std::string_view rest = buffer_;
    while (!rest.empty() && !full_) {
        const ssize_t n = ::write(file_.number(), rest.data(), rest.size());
        if (n < 0 && errno != EINTR) {
            full_ = true;
            problem_ = fail_errno("trace: " + path_, errno).error().message;
        }
        rest.remove_prefix(n > 0 ? static_cast<std::size_t>(n) : 0);
    }
    written_ += buffer_.size();
    buffer_.clear();
}

}  // namespace vmm::detail
