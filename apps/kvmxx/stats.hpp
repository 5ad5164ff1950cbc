// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vmm/machine/machine.hpp>

#include "json.hpp"

/// Where a machine's exits go: as JSON for machines (docs/program.md), and drawn from that.
namespace kvmxx {

Json to_json(const vmm::MachineReport& report);

/// The tables of `now`, lines; with rates since `before`, an earlier one of the same machine, or
/// since its start if that is null.
std::string draw_stats(const Json& now, const Json& before);

struct StatsOptions {
    bool print = false;                              ///< at the end, on standard error
    std::optional<std::chrono::milliseconds> every;  ///< and so often meanwhile
    bool json = false;                               ///< print JSON, a line each, not tables
    std::string file;                                ///< the newest as JSON, once a second
};

/// Tells of a machine while it runs, from a thread of its own.
class StatsTeller {
public:
    /// Whether the file's directory takes a new file. Errors begin with "--stats-file: ".
    static vmm::Result<void> check(const StatsOptions& options);
    /// Fails if the file cannot be written, as check() does.
    static vmm::Result<std::unique_ptr<StatsTeller>> start(const vmm::Machine& machine,
                                                           StatsOptions options);
    ~StatsTeller();
    StatsTeller(const StatsTeller&) = delete;
    StatsTeller& operator=(const StatsTeller&) = delete;

    /// Tells of the end: `why`. Before the machine's destruction.
    void finish(const std::string& why);

private:
    StatsTeller(const vmm::Machine& machine, StatsOptions options)
        : machine_(machine), options_(std::move(options)) {}
    void tell_for_ever();
    void print(const Json& now);
    vmm::Result<void> write_file(const Json& now) const;
    void keep_file(const Json& now);
    void stop();

    const vmm::Machine& machine_;
    StatsOptions options_;
    Json printed_;            // the last one
    bool file_lost_ = false;  // and it has been said
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stopping_ = false;
    std::jthread thread_;
};

}  // namespace kvmxx
