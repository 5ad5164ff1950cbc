// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "stats.hpp"

#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <kvm/fd.hpp>
#include <kvm/try.hpp>
#include <unistd.h>

namespace kvmxx {

namespace {

constexpr std::chrono::seconds file_interval{1};

Json counts_json(const vmm::ExitCounts& counts) {
    Json json = Json::object();
    for (const auto& [name, count] : counts) {
        json[name] = count;
    }
    return json;
}

Json unhandled_json(const std::vector<vmm::Unhandled>& list) {
    Json json = Json::array();
    for (const vmm::Unhandled& u : list) {
        const bool rest = u.address == ~std::uint64_t{0};
        json.push_back({{"address", rest ? Json("others") : Json(u.address)},
                        {"reads", u.reads},
                        {"writes", u.writes}});
    }
    return json;
}

void add_devices(Json& json, const std::vector<vmm::BusUsage>& devices, const char* space) {
    for (const vmm::BusUsage& device : devices) {
        json.push_back({{"name", device.name},
                        {"space", space},
                        {"base", device.base},
                        {"reads", device.reads},
                        {"writes", device.writes}});
    }
}

/// Two devices may have one name: disks of one file.
std::string unused_name(const Json& object, const std::string& name) {
    std::string unused = name;
    for (int number = 2; object.contains(unused); ++number) {
        unused = fmt::format("{} #{}", name, number);
    }
    return unused;
}

/// What is put in the statistics' place once it is whole.
std::string new_file(const StatsOptions& options) { return options.file + ".new"; }

std::unexpected<vmm::Error> about_file(const std::string& path, int error) {
    return vmm::fail_errno("--stats-file: " + path, error);
}

vmm::Result<kvm::Fd> open_new(const StatsOptions& options) {
    const std::string path = new_file(options);
    kvm::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd.valid()) {
        return about_file(path, errno);
    }
    return fd;
}

Json statistics_json(const std::vector<vmm::Statistic>& statistics) {
    Json json = Json::object();
    for (const vmm::Statistic& statistic : statistics) {
        json[statistic.name] = {{"value", statistic.value}, {"cumulative", statistic.cumulative}};
    }
    return json;
}

}  // namespace

Json to_json(const vmm::MachineReport& report) {
    Json json{{"schema", 1}, {"pid", getpid()}, {"uptime_ms", report.uptime.count()}};
    json["memory"] = {{"bytes", report.memory_bytes}, {"resident", report.resident_bytes}};
    json["exits"] = counts_json(report.exits);
    json["cpu_exits"] = Json::array();
    for (const vmm::ExitCounts& counts : report.cpu_exits) {
        json["cpu_exits"].push_back(counts_json(counts));
    }
    json["devices"] = Json::array();
    add_devices(json["devices"], report.port_devices, "port");
    add_devices(json["devices"], report.memory_devices, "memory");
    json["virtio"] = Json::object();
    for (const vmm::DeviceReport& device : report.devices) {
        json["virtio"][unused_name(json["virtio"], device.name)] =
            statistics_json(device.statistics);
    }
    json["nothing"] = {{"port", unhandled_json(report.ports)},
                       {"memory", unhandled_json(report.addresses)},
                       {"msr", unhandled_json(report.msrs)}};
    json["kvm"] = statistics_json(report.kvm);
    json["notes"] = report.notes;
    return json;
}

vmm::Result<void> StatsTeller::check(const StatsOptions& options) {
    if (!options.file.empty()) {
        KVM_TRY(open_new(options));
        (void)::unlink(new_file(options).c_str());
    }
    return {};
}

vmm::Result<std::unique_ptr<StatsTeller>> StatsTeller::start(const vmm::Machine& machine,
                                                             StatsOptions options) {
    std::unique_ptr<StatsTeller> teller(new StatsTeller(machine, std::move(options)));
    if (!teller->options_.file.empty()) {
        KVM_TRY(teller->write_file(to_json(machine.report())));
    }
    if (!teller->options_.file.empty() || teller->options_.every) {
        teller->thread_ = std::jthread([t = teller.get()] { t->tell_for_ever(); });
    }
    return teller;
}

StatsTeller::~StatsTeller() { stop(); }

void StatsTeller::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) {
        thread_.join();
    }
}

void StatsTeller::tell_for_ever() {
    using Clock = std::chrono::steady_clock;
    const auto never = Clock::time_point::max();
    const auto begin = Clock::now();
    auto next_print = options_.every ? begin + *options_.every : never;
    auto next_write = options_.file.empty() ? never : begin + file_interval;
    std::unique_lock lock(mutex_);
    while (!changed_.wait_until(lock, std::min(next_print, next_write),
                                [this] { return stopping_; })) {
        const Json now = to_json(machine_.report());
        if (Clock::now() >= next_print) {
            next_print += *options_.every;
            print(now);
        }
        if (Clock::now() >= next_write) {
            next_write += file_interval;
            keep_file(now);
        }
    }
}

void StatsTeller::print(const Json& now) {
    // At once, so that the guest's console does not come between.
    const std::string text = options_.json ? json_text(now) + "\n" : draw_stats(now, printed_);
    std::fwrite(text.data(), 1, text.size(), stderr);
    printed_ = now;
}

/// In place of the file that is there, so that readers see a whole one.
vmm::Result<void> StatsTeller::write_file(const Json& now) const {
    const std::string fresh = new_file(options_);
    const std::string text = json_text(now, 1) + "\n";
    const kvm::Fd fd = KVM_TRY(open_new(options_));
    for (std::string_view rest = text; !rest.empty();) {
        const auto written = ::write(fd.number(), rest.data(), rest.size());
        if (written < 0) {
            const int error = errno;
            (void)::unlink(fresh.c_str());
            return about_file(fresh, error);
        }
        rest.remove_prefix(static_cast<std::size_t>(written));
    }
    if (std::rename(fresh.c_str(), options_.file.c_str()) != 0) {
        return about_file(options_.file, errno);
    }
    return {};
}

/// What cannot be written now may be later: it is said once, until it could be again.
void StatsTeller::keep_file(const Json& now) {
    const auto written = write_file(now);
    if (!written && !file_lost_) {
        fmt::print(stderr, "kvmxx: {}\n", written.error().message);
    }
    file_lost_ = !written;
}

void StatsTeller::finish(const std::string& why) {
    stop();
    if (!options_.print && options_.file.empty()) {
        return;  // a report costs as much as a machine's creation
    }
    Json now = to_json(machine_.report());
    now["end"] = why;
    if (options_.print) {
        printed_ = nullptr;  // the whole time
        print(now);
    }
    if (!options_.file.empty()) {
        keep_file(now);
    }
}

}  // namespace kvmxx
