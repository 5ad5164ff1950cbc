// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "verbs.hpp"

#include <fmt/format.h>
#include <memory>
#include <string>
#include <unistd.h>
#include <vmm/machine/trace.hpp>

namespace kvmxx {

namespace {

struct ReplayOptions {
    std::string file;
    bool verbose = false;
};

int complain(const vmm::Error& error) {
    fmt::print(stderr, "kvmxx: {}\n", error.message);
    return status_error;
}

int replay(const ReplayOptions& options) {
    const auto trace = vmm::Trace::read(options.file);
    if (!trace) {
        return complain(trace.error());
    }
    vmm::FdConsole console(-1, STDOUT_FILENO);
    const auto done = vmm::replay(*trace, options.file, console);
    if (!done) {
        return complain(done.error());
    }
    if (options.verbose) {
        fmt::print(stderr, "kvmxx: {}: {} exits and {} effects came as recorded\n", options.file,
                   done->exits, done->effects);
    }
    return status_ok;
}

int export_json(const std::string& file) {
    const auto trace = vmm::Trace::read(file);
    if (!trace) {
        return complain(trace.error());
    }
    vmm::export_trace_events(*trace, [](std::string_view text) {
        (void)std::fwrite(text.data(), 1, text.size(), stdout);  // main() sees to errors
    });
    return status_ok;
}

}  // namespace

void add_replay(CLI::App& app, int& status) {
    auto options = std::make_shared<ReplayOptions>();
    auto* verb = app.add_subcommand("replay", "Replay a recording of kvmxx run --trace");
    verb->add_option("FILE", options->file, "The recording")->required();
    verb->add_flag("-v,--verbose", options->verbose, "Say how much was replayed");
    verb->footer(
        "Needs no /dev/kvm: the machine's devices get the exits and inputs of the\n"
        "recording, and are to answer as they did. The guest's output is shown. Exit\n"
        "status: 0 they did, 1 they did not, and one line says where and how.");
    verb->callback([options, &status] { status = replay(*options); });
}

void add_trace(CLI::App& app, int& status) {
    auto file = std::make_shared<std::string>();
    auto* verb = app.add_subcommand("trace", "Look at a recording of kvmxx run --trace");
    verb->require_subcommand(1);
    auto* to_json = verb->add_subcommand(
        "export", "Write it as trace-event JSON, for Perfetto and Chrome's about:tracing");
    to_json->add_option("FILE", *file, "The recording")->required();
    to_json->callback([file, &status] { status = export_json(*file); });
}

}  // namespace kvmxx
