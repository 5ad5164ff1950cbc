// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "log.hpp"
#include "stats.hpp"
#include "terminal.hpp"
#include "verbs.hpp"

#include <chrono>
#include <csignal>
#include <fmt/format.h>
#include <kvm/kick.hpp>
#include <kvm/try.hpp>
#include <memory>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>
#include <vector>
#include <vmm/machine/settings.hpp>

namespace kvmxx {

namespace {

/// The options as they were given.
struct RunOptions {
    std::string config_file;
    /// Each setting that was given, with its values.
    std::vector<std::pair<const vmm::Setting*, std::vector<std::string>>> settings;
    bool print_config = false;
    LogOptions log;
    StatsOptions stats;
    std::optional<double> stats_every;  // seconds
};

/// What the options and the configuration file make.
struct Configuration {
    vmm::MachineConfig machine;
    vmm::SettingPlaces places;  // what the file says, and no option
};

vmm::Result<Configuration> configure(const RunOptions& options) {
    Configuration config;
    if (!options.config_file.empty()) {
        config.places = KVM_TRY(vmm::read_config_file(config.machine, options.config_file));
    }
    for (const auto& [setting, values] : options.settings) {
        for (const std::string& value : values) {
            if (auto done = setting->set(config.machine, value); !done) {
                return vmm::fail(fmt::format("--{}: {}", setting->name, done.error().message),
                                 done.error().code);
            }
        }
        config.places.erase(std::string(setting->name));
    }
    if (config.machine.boot.kernel.empty()) {
        return vmm::fail("run: no kernel: give a file, or --kernel FILE", EINVAL);
    }
    return config;
}

/// The error as whoever gave the setting that it is about, if any, knows that: "--memory: ...", or
/// "vm.toml:3: memory: ...".
std::string explain(const vmm::Error& error, const vmm::SettingPlaces& places) {
    if (error.setting.empty()) {
        return error.message;
    }
    const auto place = places.find(error.setting);
    return (place == places.end() ? "--" : place->second + ": ") + error.message;
}

/// An option for each setting, whose values come to `options` before the verb's callback.
void add_settings(CLI::App& verb, RunOptions& options) {
    const vmm::MachineConfig defaults;
    for (const vmm::Setting& setting : vmm::settings()) {
        const std::string name(setting.name);
        const auto take = [&setting, &options](const std::vector<std::string>& values) {
            options.settings.emplace_back(&setting, values);
            return true;
        };
        const std::string help(setting.help);
        if (setting.kind == vmm::SettingKind::flag) {
            verb.add_flag_callback("--" + name, [take] { take({"true"}); }, help);
            continue;
        }
        // The kernel is what `kvmxx run FILE` names, too.
        auto* option = verb.add_option("--" + name + (name == "kernel" ? ",FILE" : ""), take, help);
        option->type_name(std::string(setting.value));
        if (setting.kind == vmm::SettingKind::list) {
            option->take_all()->expected(1)->allow_extra_args(false);
        } else if (const auto values = setting.get(defaults); !values.empty()) {
            option->default_str(values.front());
        }
    }
    for (const vmm::Setting& setting : vmm::settings()) {
        std::istringstream names{std::string(setting.excludes)};
        for (std::string name; names >> name;) {
            verb.get_option("--" + std::string(setting.name))
                ->excludes(verb.get_option("--" + name));
        }
    }
}

/// Says it on standard error, and returns the status.
int complain(int status, std::string_view message) {
    fmt::print(stderr, "kvmxx: {}\n", message);
    return status;
}

void print_unhandled(const char* what, const std::vector<vmm::Unhandled>& list) {
    for (const vmm::Unhandled& u : list) {
        const auto where =
            u.address == ~std::uint64_t{0} ? "at other addresses" : fmt::format("{:#x}", u.address);
        fmt::print(stderr, "kvmxx: {} {}: {} reads, {} writes\n", what, where, u.reads, u.writes);
    }
}

void print_report(const vmm::MachineReport& report) {
    for (const auto& [reason, count] : report.exits) {
        fmt::print(stderr, "kvmxx: exit {}: {}\n", reason, count);
    }
    print_unhandled("no device at port", report.ports);
    print_unhandled("no device at", report.addresses);
    print_unhandled("unknown MSR", report.msrs);
}

/// Says how it ended and returns the exit status.
int conclude(const vmm::End& end, const vmm::MachineConfig& config, bool user_stopped) {
    using enum vmm::EndReason;
    switch (end.reason) {
        case power_off:
        case halted:
            return complain(status_ok, vmm::describe(end.reason));
        case reset:
            return complain(status_reset, vmm::describe(end.reason));
        case panic:
            return complain(status_panic, vmm::describe(end.reason));
        case shut_down:
            return complain(status_shut_down, vmm::describe(end.reason));
        case test_exit:  // as QEMU's isa-debug-exit
            return static_cast<int>((end.exit_value << 1 | 1) & 0xff);
        case triple_fault:
            complain(0, fmt::format("vCPU {}: triple fault", end.cpu));
            fmt::print(stderr, "{}", end.dump);
            return status_triple_fault;
        case internal_error:
            complain(0, fmt::format("vCPU {}: {}", end.cpu, end.cause));
            fmt::print(stderr, "{}", end.dump);
            return status_error;
        case timeout:
            return complain(status_timeout, fmt::format("--timeout: stopped after {} s",
                                                        double(config.timeout->count()) / 1000));
        case stopped:
            return user_stopped ? status_stopped : status_error;  // or a signal, which main handles
    }
    return status_error;
}

/// Ends as the signal would have ended us, for the sake of whoever waits for this process.
[[noreturn]] void die_of(int signal) {
    (void)std::raise(signal);  // RawTerminal has put the default action back
    _exit(128 + signal);
}

/// A guest's connections, by vsock and the user network, are descriptors each: as many as may be.
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);  // may always be raised so far
    }
}

int run(const RunOptions& options) {
    auto configuration = configure(options);
    if (!configuration) {
        return complain(status_usage, configuration.error().message);
    }
    auto& [config, places] = *configuration;
    if (options.print_config) {
        fmt::print("{}", vmm::config_file(config));
        return status_ok;
    }
    raise_descriptor_limit();
    (void)std::signal(SIGPIPE, SIG_IGN);  // a write says EPIPE instead
    (void)std::signal(SIGXFSZ, SIG_IGN);  // and EFBIG
    if (auto installed = kvm::install_kick_handler(); !installed) {
        return complain(status_error, vmm::Error(installed.error()).message);
    }
    if (!config.boot.cache) {
        config.boot.cache = vmm::default_kernel_cache();
    }
    if (auto checked = StatsTeller::check(options.stats); !checked) {
        return complain(status_error, checked.error().message);
    }
    auto log = open_log(options.log);
    if (!log) {
        return complain(status_error, log.error().message);
    }
    TerminalConsole console;
    auto machine = vmm::Machine::create(config, console, {.log = std::move(*log)});
    if (!machine) {
        const vmm::Error& error = machine.error();
        return complain(error.setting.empty() ? status_error : status_usage,
                        explain(error, places));
    }
    const auto stats = StatsTeller::start(*machine, options.stats);
    if (!stats) {
        return complain(status_error, stats.error().message);
    }
    const auto end = [&] {
        const RawTerminal terminal(*machine);
        return machine->run();
    }();
    (*stats)->finish(end ? vmm::describe(end->reason) : end.error().message);
    const int status = end ? conclude(*end, config, console.user_stopped())
                           : complain(status_error, explain(end.error(), places));
    if (options.log.verbosity > 0) {
        print_report(machine->report());
    }
    if (const int signal = RawTerminal::signal();
        signal && end && end->reason == vmm::EndReason::stopped) {
        machine = vmm::fail("");  // the VM's end, before ours
        die_of(signal);
    }
    return status;
}

}  // namespace

void add_run(CLI::App& app, int& status) {
    auto options = std::make_shared<RunOptions>();
    auto* verb = app.add_subcommand("run", "Run a machine: boot a kernel, or run a flat binary");
    add_settings(*verb, *options);
    verb->add_option("--config", options->config_file,
                     "A TOML file of these settings; options given here override it");
    verb->add_flag("--print-config", options->print_config,
                   "Write the settings as such a file to standard output, and run nothing");
    verb->add_flag("-v,--verbose", options->log.verbosity,
                   "Say what the machine does, and at the end what exits and unhandled accesses "
                   "there were; -vv says more");
    verb->add_option("--log", options->log.file, "Add the same, with the time, to FILE")
        ->type_name("FILE");
    verb->add_flag("--stats", options->stats.print,
                   "At the end, show where the exits went, on standard error");
    verb->add_option("--stats-every", options->stats_every,
                     "And each so many seconds while the machine runs")
        ->type_name("SECONDS")
        ->check(CLI::Range(0.1, 1e6));
    verb->add_flag("--json", options->stats.json, "Let --stats be JSON, one line each time");
    verb->add_option("--stats-file", options->stats.file,
                     "Keep the newest statistics in FILE, as JSON: for kvmxx top FILE")
        ->type_name("FILE");
    verb->footer(
        "On a terminal: Ctrl-A x ends the machine, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h helps.\n"
        "SIGTERM and SIGINT press the power button, a second one stops the machine.\n"
        "Exit status: 0 the guest switched itself off, 1 error, 2 usage, 3 triple fault,\n"
        "4 Ctrl-A x, 5 reset, 6 panic, 7 switched off as a signal asked, 124 --timeout.");
    verb->callback([options, &status] {
        if (options->stats_every) {
            options->stats.print = true;
            options->stats.every = std::chrono::round<std::chrono::milliseconds>(
                std::chrono::duration<double>(*options->stats_every));
        }
        status = run(*options);
    });
}

}  // namespace kvmxx
