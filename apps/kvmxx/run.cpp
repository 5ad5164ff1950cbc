// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "terminal.hpp"
#include "verbs.hpp"

#include <charconv>
#include <cmath>
#include <csignal>
#include <fmt/format.h>
#include <kvm/kick.hpp>
#include <kvm/try.hpp>
#include <memory>
#include <optional>
#include <string>
#include <unistd.h>
#include <vmm/machine/machine.hpp>

namespace kvmxx {

namespace {

constexpr char default_cmdline[] = "console=ttyS0 reboot=k panic=-1";

/// The options as they were given.
struct RunOptions {
    std::string kernel;
    std::string initrd;
    std::optional<std::string> cmdline;
    std::string memory = "512M";
    std::string cpus = "1";
    std::optional<std::string> flat16;
    std::optional<std::string> flat64;
    std::optional<std::string> timeout;
    bool verbose = false;
};

std::unexpected<vmm::Error> bad(const char* option, const std::string& text, const char* want) {
    return vmm::fail(fmt::format("{}: '{}' is not {}", option, text, want), EINVAL);
}

/// A number, decimal or 0x...; what is left of `text` behind it goes to `rest`.
bool number(std::string_view text, std::uint64_t& value, std::string_view& rest) {
    const bool hex = text.starts_with("0x") || text.starts_with("0X");
    text.remove_prefix(hex ? 2 : 0);
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
    rest = text.substr(static_cast<std::size_t>(end - text.data()));
    return error == std::errc();
}

vmm::Result<std::uint64_t> parse_size(const char* option, const std::string& text) {
    constexpr const char* want = "a size, such as 512M or 2G";
    static constexpr std::string_view units = "KMGT";
    std::uint64_t value = 0;
    std::string_view rest;
    if (!number(text, value, rest)) {
        return bad(option, text, want);
    }
    std::uint64_t factor = 1;
    if (!rest.empty()) {
        const auto unit = units.find(static_cast<char>(rest[0] & ~0x20));
        rest.remove_prefix(1);
        if (unit == units.npos || !(rest.empty() || rest == "iB" || rest == "B")) {
            return bad(option, text, want);
        }
        factor = std::uint64_t{1} << (10 * (unit + 1));
    }
    if (value > ~std::uint64_t{0} / factor) {
        return bad(option, text, "a size below 16 EiB");
    }
    return value * factor;
}

vmm::Result<std::uint64_t> parse_number(const char* option, const std::string& text,
                                        std::uint64_t max, const char* want) {
    std::uint64_t value = 0;
    std::string_view rest;
    if (!number(text, value, rest) || !rest.empty() || value > max) {
        return bad(option, text, want);
    }
    return value;
}

vmm::Result<std::chrono::milliseconds> parse_seconds(const char* option, const std::string& text) {
    double seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size() || !(seconds > 0) ||
        seconds > 1e9) {
        return bad(option, text, "a number of seconds above 0");
    }
    return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(seconds * 1000)));
}

/// Fills in how the image starts.
vmm::Result<void> parse_format(const RunOptions& options, vmm::BootConfig& boot) {
    if (options.flat16) {
        const auto address = KVM_TRY(parse_number("--flat16", *options.flat16, 0xfffff,
                                                  "an address below 1 MiB, such as 0x7c00"));
        const bool low = address <= 0xffff;
        boot.format = vmm::Flat16{static_cast<std::uint16_t>(low ? 0 : address >> 4),
                                  static_cast<std::uint16_t>(low ? address : address & 0xf)};
    } else if (options.flat64) {
        const auto address = KVM_TRY(parse_number("--flat64", *options.flat64, 0xffffffff,
                                                  "an address below 4 GiB, such as 0x100000"));
        boot.format = vmm::Flat64{kvm::Gpa(address)};
    } else {
        boot.cmdline = options.cmdline.value_or(default_cmdline);
    }
    return {};
}

vmm::Result<vmm::MachineConfig> configure(const RunOptions& options) {
    vmm::MachineConfig config;
    if (options.kernel.empty()) {
        return vmm::fail("run: no kernel: give a file, or --kernel FILE", EINVAL);
    }
    config.boot.kernel = options.kernel;
    config.boot.initrd = options.initrd;
    KVM_TRY(parse_format(options, config.boot));
    config.memory_bytes = KVM_TRY(parse_size("--memory", options.memory));
    const auto cpus = KVM_TRY(parse_number("--cpus", options.cpus, 0xffffffff, "a number of CPUs"));
    config.cpus = static_cast<std::uint32_t>(cpus);
    if (options.timeout) {
        config.timeout = KVM_TRY(parse_seconds("--timeout", *options.timeout));
    }
    return config;
}

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
    for (const std::string& note : report.notes) {
        fmt::print(stderr, "kvmxx: {}\n", note);
    }
}

/// Says how it ended, as far as that needs words, and returns the exit status.
int conclude(const vmm::End& end, const RunOptions& options, bool user_stopped) {
    using enum vmm::EndReason;
    switch (end.reason) {
        case power_off:
        case reset:
        case halted:
            if (options.verbose) {
                complain(0, vmm::describe(end.reason));
            }
            return status_ok;
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
                                                        options.timeout.value_or("?")));
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

int run(const RunOptions& options) {
    const auto config = configure(options);
    if (!config) {
        return complain(status_usage, config.error().message);
    }
    (void)std::signal(SIGPIPE, SIG_IGN);  // a write says EPIPE instead
    if (auto installed = kvm::install_kick_handler(); !installed) {
        return complain(status_error, vmm::Error(installed.error()).message);
    }
    TerminalConsole console;
    auto machine = vmm::Machine::create(*config, console);
    if (!machine) {
        // Errors of MachineConfig's numbers begin with the field's name, which is the option's.
        const std::string& message = machine.error().message;
        if (message.starts_with("memory: ") || message.starts_with("cpus: ")) {
            return complain(status_usage, "--" + message);
        }
        if (const std::string_view what = "command line: "; message.starts_with(what)) {
            return complain(status_usage, "--cmdline: " + message.substr(what.size()));
        }
        return complain(status_error, message);
    }
    const auto end = [&] {
        const RawTerminal terminal(*machine);
        return machine->run();
    }();
    const int status = end ? conclude(*end, options, console.user_stopped())
                           : complain(status_error, end.error().message);
    if (options.verbose) {
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
    verb->add_option("--kernel,FILE", options->kernel,
                     "What to run: a Linux bzImage or ELF64 vmlinux, told by its content");
    auto* initrd = verb->add_option("--initrd", options->initrd, "The kernel's initial RAM disk");
    auto* cmdline = verb->add_option("--cmdline", options->cmdline, "The kernel's command line")
                        ->default_str(default_cmdline);
    verb->add_option("--memory", options->memory, "RAM: bytes, or with K, M, G, T")
        ->capture_default_str();
    verb->add_option("--cpus", options->cpus, "How many CPUs")->capture_default_str();
    auto* flat16 = verb->add_option("--flat16", options->flat16,
                                    "FILE is 16-bit code: load it there and start it in real mode");
    auto* flat64 = verb->add_option("--flat64", options->flat64,
                                    "FILE is 64-bit code: load it there and start it in long mode");
    flat16->excludes(flat64)->excludes(initrd)->excludes(cmdline);
    flat64->excludes(initrd)->excludes(cmdline);
    verb->add_option("--timeout", options->timeout, "Stop the machine after so many seconds");
    verb->add_flag("-v,--verbose", options->verbose,
                   "At the end, say why, and what exits and unhandled accesses there were");
    verb->footer(
        "On a terminal: Ctrl-A x ends the machine, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h helps.\n"
        "Exit status: 0 the guest switched itself off or asked for a reset, 1 error, 2 usage,\n"
        "3 triple fault, 4 Ctrl-A x, 124 --timeout.");
    verb->callback([options, &status] { status = run(*options); });
}

}  // namespace kvmxx
