// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <tuple>
#include <vmm/machine/core.hpp>

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
            return "the guest halted with interrupts off";
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

MachineReport Core::report() const {
    MachineReport report;
    for (std::uint32_t reason = 0; reason <= kvm::exit_reason_count; ++reason) {
        std::uint64_t count = 0;
        for (std::size_t i = 0; i < cpu_count(); ++i) {
            count += cpu(i).exits[reason];
        }
        if (count) {
            const bool named = reason < kvm::exit_reason_count;
            report.exits.emplace_back(named ? kvm::name(kvm::ExitReason(reason)) : "newer ones",
                                      count);
        }
    }
    std::sort(report.exits.begin(), report.exits.end(), [](const auto& a, const auto& b) {
        return std::tie(b.second, a.first) < std::tie(a.second, b.first);
    });
    board_->add_to(report);
    if (crash_loaded_.load(std::memory_order_relaxed)) {
        report.notes.emplace_back("the guest's kernel panicked, and its crash kernel took over");
    }
    return report;
}

}  // namespace detail

}  // namespace vmm
