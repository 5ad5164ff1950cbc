// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <optional>
#include <random>
#include <vmm/block/disk.hpp>
#include <vmm/result.hpp>

namespace vmm::test {

/// An image of so many bytes in a directory that has O_DIRECT, each sector filled with its number
/// and one; gone with this.
class ImageFile {
public:
    explicit ImageFile(std::uint64_t bytes) {
        std::string name = "./kvmxx-disk-XXXXXX";
        const int fd = ::mkstemp(name.data());
        path = std::filesystem::absolute(name).lexically_normal().string();
        std::vector<char> all(bytes);
        for (std::uint64_t i = 0; i < bytes; ++i) {
            all[i] = static_cast<char>(i / 512 + 1);
        }
        EXPECT_EQ(::write(fd, all.data(), all.size()), static_cast<ssize_t>(bytes));
        ::close(fd);
    }
    ~ImageFile() { ::unlink(path.c_str()); }
    ImageFile(const ImageFile&) = delete;
    ImageFile& operator=(const ImageFile&) = delete;

    std::string content() const {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    void cut(std::uint64_t bytes) const {
        EXPECT_EQ(::truncate(path.c_str(), static_cast<off_t>(bytes)), 0);
    }
    std::uint64_t allocated() const {
        struct stat status{};
        EXPECT_EQ(::stat(path.c_str(), &status), 0);
        return static_cast<std::uint64_t>(status.st_blocks) * 512;
    }

    std::string path;
};

/// A log that remembers.
struct TestLog {
    std::vector<std::string> lines;
    Log log{LogLevel::debug, [this](const LogLine& line) {
                lines.push_back(fmt::format("{}: {}", line.component, line.text));
            }};
};

/// An engine that makes the calls at once, unless it is told what they give.
class ScriptedEngine final : public block::Engine {
public:
    /// What the next calls give: an errno below 0; or no more bytes than this.
    std::deque<std::int64_t> results;
    std::vector<block::Task::Call> calls;
    std::vector<int> modes;
    bool holds = false;  ///< nothing is finished until it is let go

    std::string_view name() const override { return "scripted"; }
    void submit(block::Task& task) override {
        calls.push_back(task.call);
        modes.push_back(task.call == block::Task::Call::allocate ? task.mode : 0);
        std::int64_t most = 1LL << 40;
        if (!results.empty()) {
            most = results.front();
            results.pop_front();
        }
        task.result = most <= 0 ? most : do_call(task, static_cast<std::size_t>(most));
        finished_.push_back(&task);
        if (!holds) {
            (void)event_.write();
        }
    }
    void let_go() {
        holds = false;
        (void)event_.write();
    }
    void start() override {}
    void collect(std::vector<block::Task*>& finished) override {
        if (!holds && !finished_.empty()) {
            (void)event_.read();
            finished.insert(finished.end(), finished_.begin(), finished_.end());
            finished_.clear();
        }
    }
    void wait() override { let_go(); }
    kvm::FdRef event() const override { return event_; }

private:
    static std::int64_t do_call(const block::Task& task, std::size_t most) {
        using enum block::Task::Call;
        if (task.call != read && task.call != write) {
            return task.call == allocate
                       ? ::fallocate(task.file, task.mode, off_t(task.offset), off_t(task.length))
                       : 0;
        }
        std::int64_t done = 0;
        for (const iovec& part : task.parts) {
            const std::size_t n = std::min(part.iov_len, most - static_cast<std::size_t>(done));
            const auto at = static_cast<off_t>(task.offset) + done;
            const ssize_t moved = task.call == read ? ::pread(task.file, part.iov_base, n, at)
                                                    : ::pwrite(task.file, part.iov_base, n, at);
            if (moved <= 0) {
                return done > 0 ? done : moved < 0 ? -errno : 0;
            }
            done += moved;
            if (static_cast<std::size_t>(moved) < part.iov_len) {
                break;
            }
        }
        return done;
    }

    kvm::EventFd event_ = must(kvm::EventFd::create(0, kvm::EventFdFlag::nonblock));
    std::vector<block::Task*> finished_;
};

/// A disk on an engine of that kind, or on a scripted one, which `scripted` then is.
inline std::unique_ptr<block::Disk> make_disk(const ImageFile& file, Access access,
                                              std::optional<block::EngineKind> kind,
                                              Reactor& reactor, const Log& log,
                                              ScriptedEngine*& scripted) {
    auto image = must(block::Image::open({.path = file.path, .access = access}));
    std::unique_ptr<block::Engine> engine;
    if (kind) {
        engine = must(block::create_engine(*kind));
    } else {
        auto made = std::make_unique<ScriptedEngine>();
        scripted = made.get();
        engine = std::move(made);
    }
    return must(block::FileDisk::create(std::move(image), std::move(engine), reactor, log));
}

/// A client that counts what is completed.
struct TestClient final : block::Client {
    void completed(std::span<block::Request* const> requests) override {
        done.insert(done.end(), requests.begin(), requests.end());
    }
    bool has(const block::Request& request) const {
        return std::ranges::find(done, &request) != done.end();
    }
    std::vector<block::Request*> done;
};

inline iovec part(std::span<char> bytes) { return {bytes.data(), bytes.size()}; }

}  // namespace vmm::test
