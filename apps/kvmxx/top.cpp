// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "stats.hpp"
#include "verbs.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <poll.h>
#include <unistd.h>
#include <vmm/text_file.hpp>

namespace kvmxx {

namespace {

struct TopOptions {
    std::string file;
    double interval = 1;
};

vmm::Result<Json> read(const std::string& path) {
    Json json = Json::parse(KVM_TRY(vmm::read_text_file(path)), nullptr, false);
    if (!json.is_object() || json.value("schema", Json()) != 1) {
        return vmm::fail(path + ": is not what kvmxx run --stats-file writes", EINVAL);
    }
    return json;
}

/// Waits; whether the user wants no more: the end of standard input, or a line.
bool enough(double seconds) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    return poll(&input, 1, static_cast<int>(seconds * 1000)) > 0;
}

/// Draws over what is there, without flicker: each line up to its end, then the rest below.
void redraw(const std::string& text) {
    std::string frame = "\x1b[H";
    for (const char c : text) {
        if (c == '\n') {
            frame += "\x1b[K";
        }
        frame += c;
    }
    frame += "\x1b[J";
    std::fwrite(frame.data(), 1, frame.size(), stdout);
    std::fflush(stdout);
}

vmm::Result<void> top(const TopOptions& options) {
    Json before;
    Json now = KVM_TRY(read(options.file));
    if (isatty(STDOUT_FILENO) != 1 || now.contains("end")) {
        fmt::print("{}", draw_stats(now, before));
        return {};
    }
    std::fputs("\x1b[2J", stdout);
    while (true) {
        redraw(draw_stats(now, before) + "\nEnter ends this\n");
        if (now.contains("end") || enough(options.interval)) {
            return {};
        }
        Json next = KVM_TRY(read(options.file));
        if (next != now) {
            before = std::move(now);
            now = std::move(next);
        }
    }
}

}  // namespace

void add_top(CLI::App& app, int& status) {
    auto options = std::make_shared<TopOptions>();
    auto* verb = app.add_subcommand("top", "Show where a running machine's exits go");
    verb->add_option("FILE", options->file, "What kvmxx run --stats-file FILE keeps writing")
        ->required();
    verb->add_option("--interval", options->interval, "Seconds between two looks")
        ->capture_default_str()
        ->check(CLI::Range(0.1, 3600.0));
    verb->callback([options, &status] {
        if (auto done = top(*options); !done) {
            fmt::print(stderr, "kvmxx: {}\n", done.error().message);
            status = status_error;
        }
    });
}

}  // namespace kvmxx
