// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>

#include <span>
#include <vmm/host/probe.hpp>

namespace vmm::host {

namespace {

/// A bit of a capability's mask. The name is the enumerator's, which is the kernel's.
struct Word {
    std::uint64_t bit;
    const char* name;

    template <class E>
    constexpr Word(E flag, const char* flag_name)
        : bit(static_cast<std::uint64_t>(flag)), name(flag_name) {}
};

using enum kvm::XenHvmFlag;
constexpr Word xen_words[] = {
    {hypercall_msr, "hypercall_msr"},
    {intercept_hcall, "intercept_hcall"},
    {shared_info, "shared_info"},
    {runstate, "runstate"},
    {evtchn_2level, "evtchn_2level"},
    {evtchn_send, "evtchn_send"},
    {runstate_update_flag, "runstate_update_flag"},
    {pvclock_tsc_unstable, "pvclock_tsc_unstable"},
};

constexpr Word clock_words[] = {
    {kvm::ClockFlag::tsc_stable, "tsc_stable"},
    {kvm::ClockFlag::realtime, "realtime"},
    {kvm::ClockFlag::host_tsc, "host_tsc"},
};

constexpr Word sync_words[] = {
    {kvm::x86_64::SyncReg::regs, "regs"},
    {kvm::x86_64::SyncReg::sregs, "sregs"},
    {kvm::x86_64::SyncReg::events, "events"},
};

constexpr Word x2apic_words[] = {
    {kvm::X2apicApiFlag::use_32bit_ids, "use_32bit_ids"},
    {kvm::X2apicApiFlag::disable_broadcast_quirk, "disable_broadcast_quirk"},
    {kvm::X2apicApiFlag::enable_suppress_eoi_broadcast, "enable_suppress_eoi_broadcast"},
    {kvm::X2apicApiFlag::disable_suppress_eoi_broadcast, "disable_suppress_eoi_broadcast"},
};

constexpr Word disable_exit_words[] = {
    {kvm::DisableExit::mwait, "mwait"},           {kvm::DisableExit::hlt, "hlt"},
    {kvm::DisableExit::pause, "pause"},           {kvm::DisableExit::cstate, "cstate"},
    {kvm::DisableExit::aperfmperf, "aperfmperf"},
};

constexpr Word dirty_log_words[] = {
    {kvm::ManualDirtyLogFlag::enable, "enable"},
    {kvm::ManualDirtyLogFlag::initially_set, "initially_set"},
};

constexpr Word bus_lock_words[] = {
    {kvm::BusLockFlag::off, "off"},
    {kvm::BusLockFlag::exit, "exit"},
};

using enum kvm::x86_64::GuestDebugFlag;
constexpr Word guest_debug_words[] = {
    {enable, "enable"},       {singlestep, "singlestep"}, {use_sw_bp, "use_sw_bp"},
    {use_hw_bp, "use_hw_bp"}, {inject_db, "inject_db"},   {inject_bp, "inject_bp"},
    {blockirq, "blockirq"},
};

constexpr Word hypercall_words[] = {{kvm::HypercallExit::map_gpa_range, "map_gpa_range"}};

constexpr Word pmu_words[] = {{kvm::PmuCapFlag::disable, "disable"}};

using enum kvm::Quirk;
constexpr Word quirk_words[] = {
    {lint0_reenabled, "lint0_reenabled"},
    {cd_nw_cleared, "cd_nw_cleared"},
    {lapic_mmio_hole, "lapic_mmio_hole"},
    {out_7e_inc_rip, "out_7e_inc_rip"},
    {misc_enable_no_mwait, "misc_enable_no_mwait"},
    {fix_hypercall_insn, "fix_hypercall_insn"},
    {mwait_never_ud_faults, "mwait_never_ud_faults"},
    {slot_zap_all, "slot_zap_all"},
    {stuff_feature_msrs, "stuff_feature_msrs"},
    {ignore_guest_pat, "ignore_guest_pat"},
};

constexpr Word memory_attribute_words[] = {{kvm::MemoryAttribute::private_memory, "private"}};

using enum kvm::VmTypeBit;
constexpr Word vm_type_words[] = {
    {default_vm, "default_vm"}, {sw_protected_vm, "sw_protected_vm"},
    {sev_vm, "sev_vm"},         {sev_es_vm, "sev_es_vm"},
    {snp_vm, "snp_vm"},         {tdx_vm, "tdx_vm"},
};

constexpr Word memfd_words[] = {
    {kvm::GuestMemfdFlag::mmap, "mmap"},
    {kvm::GuestMemfdFlag::init_shared, "init_shared"},
};

struct Mask {
    int capability;
    std::span<const Word> words;
};

namespace cap = kvm::cap;
constexpr Mask masks[] = {
    {cap::xen_hvm.number, xen_words},
    {cap::adjust_clock.number, clock_words},
    {cap::sync_regs.number, sync_words},
    {cap::x2apic_api.number, x2apic_words},
    {cap::x86_disable_exits.number, disable_exit_words},
    {cap::manual_dirty_log_protect2.number, dirty_log_words},
    {cap::x86_bus_lock_exit.number, bus_lock_words},
    {cap::set_guest_debug2.number, guest_debug_words},
    {cap::exit_hypercall.number, hypercall_words},
    {cap::pmu_capability.number, pmu_words},
    {cap::disable_quirks2.number, quirk_words},
    {cap::memory_attributes.number, memory_attribute_words},
    {cap::vm_types.number, vm_type_words},
    {cap::guest_memfd_flags.number, memfd_words},
};

const char* word(std::span<const Word> words, std::uint64_t bit) {
    for (const Word& word : words) {
        if (word.bit == bit) {
            return word.name;
        }
    }
    return nullptr;
}

}  // namespace

std::vector<std::string> words(int capability, int value) {
    std::vector<std::string> found;
    for (const Mask& mask : masks) {
        if (mask.capability != capability) {
            continue;
        }
        for (unsigned n = 0; n < 32; ++n) {
            const std::uint64_t bit = std::uint64_t(1) << n;
            if ((static_cast<std::uint32_t>(value) & bit) != 0) {
                const char* name = word(mask.words, bit);
                found.push_back(name ? name : fmt::format("1 << {}", n));
            }
        }
    }
    return found;
}

}  // namespace vmm::host
