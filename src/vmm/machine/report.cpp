// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <sys/mman.h>
#include <tuple>
#include <vmm/machine/core.hpp>
#include <vmm/memory/guest_memory.hpp>

namespace vmm {

const char* describe(EndReason reason) {
    switch (reason) {
        case EndReason::power_off:
            return "the guest switched itself off";
        case EndReason::shut_down:
            return "the guest switched itself off, as it was asked to";
        case EndReason::reset:
            return "the guest asked for a reset";
        case EndReason::panic:
            return "the guest's kernel panicked";
        case EndReason::halted:
            return "the guest halted for good: all its CPUs wait with interrupts off";
        case EndReason::triple_fault:
            return "triple fault";
        case EndReason::internal_error:
            return "KVM cannot run the guest on";
        case EndReason::stopped:
            return "stopped";
        case EndReason::timeout:
            return "time is up";
        case EndReason::test_exit:
            return "the guest ended a test";
    }
    return "?";
}

namespace detail {

namespace {

void sort(ExitCounts& counts) {
    std::ranges::sort(counts, [](const auto& a, const auto& b) {
        return std::tie(b.second, a.first) < std::tie(a.second, b.first);
    });
}

/// How many bytes from `host` on the host has memory for.
std::uint64_t resident_bytes(std::span<std::byte> host) {
    constexpr std::uint64_t page = 4096;
    constexpr std::uint64_t step = page << 14;
    std::vector<unsigned char> pages(step / page);
    std::uint64_t count = 0;
    for (; !host.empty(); host = host.subspan(std::min(step, host.size()))) {
        const std::uint64_t size = std::min(step, host.size());
        if (::mincore(host.data(), size, pages.data()) == 0) {
            count += static_cast<std::uint64_t>(
                std::count_if(pages.begin(), pages.begin() + std::ptrdiff_t(size / page),
                              [](unsigned char in_core) { return (in_core & 1) != 0; }));
        }
    }
    return count * page;
}

/// How much of the guest's memory, ROMs too, the host has memory for.
std::uint64_t resident_bytes(const GuestMemory& memory) {
    std::uint64_t bytes = 0;
    for (const Region& region : memory.regions()) {
        std::vector<iovec> pieces;
        if (memory.iovecs(region.address, region.size, Access::read_only, pieces)) {
            for (const iovec& piece : pieces) {
                bytes += resident_bytes({static_cast<std::byte*>(piece.iov_base), piece.iov_len});
            }
        }
    }
    return bytes;
}

}  // namespace

MachineReport Core::report() const {
    MachineReport report;
    if (const auto start = started_.load(); start != decltype(start){}) {
        report.uptime =
            std::chrono::floor<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
    }
    report.memory_bytes = memory().size();
    report.resident_bytes = resident_bytes(memory());
    report.cpu_exits.resize(cpu_count());
    for (std::uint32_t reason = 0; reason <= kvm::exit_reason_count; ++reason) {
        const bool named = reason < kvm::exit_reason_count;
        const std::string name = named ? kvm::name(kvm::ExitReason(reason)) : "newer ones";
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < cpu_count(); ++i) {
            const auto count = cpu(i).exits[reason].load(std::memory_order_relaxed);
            sum += count;
            if (count > 0) {
                report.cpu_exits[i].emplace_back(name, count);
            }
        }
        if (sum > 0) {
            report.exits.emplace_back(name, sum);
        }
    }
    sort(report.exits);
    std::ranges::for_each(report.cpu_exits, sort);
    report.notes = notes_;
    board_->add_to(report);
    report.kvm = kvm_statistics();
    if (auto problem = board_->pump().problem(); !problem.empty()) {
        report.notes.push_back(std::move(problem));
    }
    if (recorder_ && !recorder_->problem().empty()) {
        report.notes.push_back(recorder_->problem());
    }
    if (crash_loaded_.load(std::memory_order_relaxed)) {
        report.notes.emplace_back("the guest's kernel panicked, and its crash kernel took over");
    }
    return report;
}

}  // namespace detail

}  // namespace vmm
