// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <kvm/exit.hpp>

namespace kvm {

const char* name(ExitReason reason) {
    // clang-format off
    static constexpr const char* names[] = {
        "UNKNOWN",        "EXCEPTION",     "IO",            "HYPERCALL",       "DEBUG",
        "HLT",            "MMIO",          "IRQ_WINDOW_OPEN", "SHUTDOWN",      "FAIL_ENTRY",
        "INTR",           "SET_TPR",       "TPR_ACCESS",    "S390_SIEIC",      "S390_RESET",
        "DCR",            "NMI",           "INTERNAL_ERROR", "OSI",            "PAPR_HCALL",
        "S390_UCONTROL",  "WATCHDOG",      "S390_TSCH",     "EPR",             "SYSTEM_EVENT",
        "S390_STSI",      "IOAPIC_EOI",    "HYPERV",        "ARM_NISV",        "X86_RDMSR",
        "X86_WRMSR",      "DIRTY_RING_FULL", "AP_RESET_HOLD", "X86_BUS_LOCK",  "XEN",
        "RISCV_SBI",      "RISCV_CSR",     "NOTIFY",        "LOONGARCH_IOCSR", "MEMORY_FAULT",
        "TDX",            "ARM_SEA",       "ARM_LDST64B",   "SNP_REQ_CERTS",
    };
    // clang-format on
    static_assert(sizeof names / sizeof *names == exit_reason_count);
    const auto number = static_cast<std::uint32_t>(reason);
    return number < exit_reason_count ? names[number] : "?";
}

}  // namespace kvm
