// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vmm/machine/machine.hpp>

/// Where a machine's exits go: as JSON for machines (docs/program.md), and drawn from that.
namespace kvmxx {

using Json = nlohmann::ordered_json;

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
    /// Fails if the file cannot be written.
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
    void stop();

    const vmm::Machine& machine_;
    StatsOptions options_;
    Json printed_;  // the last one
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stopping_ = false;
    std::jthread thread_;
};

}  // namespace kvmxx
