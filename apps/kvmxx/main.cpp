// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "verbs.hpp"

#include <cerrno>
#include <cstdio>
#include <exception>
#include <fcntl.h>
#include <kvm/version.hpp>
#include <string>
#include <unistd.h>

namespace {

/// Without one of the first three descriptors, the next file would take its number, and messages or
/// the guest's output would go into that file.
void open_missing_descriptors() {
    for (int fd = 0; fd < 3; ++fd) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
            const int null = open("/dev/null", O_RDWR);
            if (null >= 0 && null != fd) {
                (void)close(null);
            }
        }
    }
}

/// A message of CLI11's as one line.
std::string line(std::string text) {
    while (!text.empty() && text.back() == '\n') {
        text.pop_back();
    }
    for (char& c : text) {
        c = c == '\n' ? ' ' : c;
    }
    return text;
}

int run(int argc, char** argv) {
    CLI::App app("kvmxx: virtual machines on Linux KVM", "kvmxx");
    app.set_version_flag("--version", kvm::version);
    app.require_subcommand(1);
    int status = kvmxx::status_ok;
    kvmxx::add_run(app, status);
    kvmxx::add_hello(app, status);
    kvmxx::add_info(app, status);
    kvmxx::add_doctor(app, status);
    kvmxx::add_top(app, status);
    kvmxx::add_replay(app, status);
    kvmxx::add_trace(app, status);
    const CLI::App* verb = nullptr;
    if (argc > 1 && argv[1][0] != '-') {
        const std::string name = argv[1];
        const auto found = app.get_subcommands([&](CLI::App* v) { return v->get_name() == name; });
        verb = found.empty() ? nullptr : found.front();
        if (!verb) {
            std::fprintf(stderr, "kvmxx: no verb '%s' (kvmxx --help tells more)\n", argv[1]);
            return kvmxx::status_usage;
        }
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) {
            return app.exit(error);  // --help, --version
        }
        std::fprintf(stderr, "kvmxx: %s (kvmxx%s%s --help tells more)\n",
                     line(error.what()).c_str(), verb ? " " : "",
                     verb ? verb->get_name().c_str() : "");
        return kvmxx::status_usage;
    }
    return status;
}

}  // namespace

int main(int argc, char** argv) {
    open_missing_descriptors();
    int status;
    try {
        status = run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "kvmxx: %s\n", error.what());
        status = kvmxx::status_error;
    }
    // What was printed and cannot be written is an error too: a full disk, a closed pipe.
    if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
        std::fprintf(stderr, "kvmxx: standard output: cannot be written\n");
        return status == kvmxx::status_ok ? kvmxx::status_error : status;
    }
    return status;
}
