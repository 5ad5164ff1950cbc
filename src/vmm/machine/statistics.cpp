// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <kvm/stats.hpp>
#include <vmm/machine/statistics.hpp>

namespace vmm::detail {

namespace {

bool is_scalar(const kvm::StatsDesc& desc) {
    return desc.size == 1 && desc.type != kvm::StatsType::linear_hist &&
           desc.type != kvm::StatsType::log_hist;
}

void add(std::vector<Statistic>& sums, const kvm::Stats& stats) {
    for (const kvm::StatsDesc& desc : stats.descriptors()) {
        if (!is_scalar(desc)) {
            continue;
        }
        const std::uint64_t value = stats.values(desc).front();
        const auto known = std::ranges::find(sums, desc.name, &Statistic::name);
        if (known == sums.end()) {
            sums.push_back({desc.name, value, desc.type == kvm::StatsType::cumulative});
        } else {
            known->value += value;
        }
    }
}

}  // namespace

std::vector<Statistic> sum_statistics(std::span<const kvm::Fd> fds) {
    std::vector<Statistic> sums;
    for (const kvm::Fd& fd : fds) {
        auto own = fd.duplicate();
        if (!own) {
            continue;
        }
        auto stats = kvm::Stats::open(std::move(*own));
        if (stats && stats->update()) {
            add(sums, *stats);
        }
    }
    return sums;
}

}  // namespace vmm::detail
