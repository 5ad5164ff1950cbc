// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/aarch64.hpp>
#include <kvm/one_reg.hpp>

/// The ids of aarch64's registers in the ONE_REG interface: Documentation/virt/kvm/api.rst 4.68.
namespace kvm::aarch64 {

/// Values wider than 64 bits, least significant word first.
template <std::size_t Words>
struct Wide {
    u64 words[Words];
};

namespace reg_id {

inline constexpr u64 core = reg_arm64 | 0x10 << 16;
inline constexpr u64 firmware = reg_arm64 | reg_size_u64 | 0x14 << 16;
inline constexpr u64 sve = reg_arm64 | 0x15 << 16;
inline constexpr u64 firmware_bitmap = reg_arm64 | reg_size_u64 | 0x16 << 16;

consteval RegId<u64> core_reg(std::size_t offset) {
    return RegId<u64>(core | reg_size_u64 | offset / 4);
}

}  // namespace reg_id

/// X0 to X30.
consteval RegId<u64> x(unsigned n) { return reg_id::core_reg(offsetof(CoreRegs, regs) + n * 8); }
inline constexpr RegId<u64> sp = reg_id::core_reg(offsetof(CoreRegs, sp));
inline constexpr RegId<u64> pc = reg_id::core_reg(offsetof(CoreRegs, pc));
inline constexpr RegId<u64> pstate = reg_id::core_reg(offsetof(CoreRegs, pstate));
inline constexpr RegId<u64> sp_el1 = reg_id::core_reg(offsetof(CoreRegs, sp_el1));
inline constexpr RegId<u64> elr_el1 = reg_id::core_reg(offsetof(CoreRegs, elr_el1));
/// SPSR_EL1, _ABT, _UND, _IRQ, _FIQ.
consteval RegId<u64> spsr(unsigned n) { return reg_id::core_reg(offsetof(CoreRegs, spsr) + n * 8); }
/// V0 to V31; not of a vCPU with SVE, which has z().
consteval RegId<Wide<2>> v(unsigned n) {
    return RegId<Wide<2>>(reg_id::core | reg_size_u128 | (offsetof(CoreRegs, vregs) + n * 16) / 4);
}
inline constexpr RegId<u32> fpsr(reg_id::core | reg_size_u32 | offsetof(CoreRegs, fpsr) / 4);
inline constexpr RegId<u32> fpcr(reg_id::core | reg_size_u32 | offsetof(CoreRegs, fpcr) / 4);

/// A system register by its encoding in MSR and MRS.
consteval RegId<u64> sys_reg(u64 op0, u64 op1, u64 crn, u64 crm, u64 op2) {
    return RegId<u64>(reg_arm64 | reg_size_u64 | 0x13 << 16 | op0 << 14 | op1 << 11 | crn << 7 |
                      crm << 3 | op2);
}
inline constexpr RegId<u64> mpidr_el1 = sys_reg(3, 0, 0, 0, 5);
inline constexpr RegId<u64> sctlr_el1 = sys_reg(3, 0, 1, 0, 0);
inline constexpr RegId<u64> ttbr0_el1 = sys_reg(3, 0, 2, 0, 0);
inline constexpr RegId<u64> vbar_el1 = sys_reg(3, 0, 12, 0, 0);
/// The virtual timer. The ids of the last two are each other's encodings: a slip that became
/// interface.
inline constexpr RegId<u64> timer_ctl = sys_reg(3, 3, 14, 3, 1);
inline constexpr RegId<u64> timer_cval = sys_reg(3, 3, 14, 0, 2);
inline constexpr RegId<u64> timer_cnt = sys_reg(3, 3, 14, 3, 2);
inline constexpr RegId<u64> ptimer_ctl = sys_reg(3, 3, 14, 2, 1);
inline constexpr RegId<u64> ptimer_cval = sys_reg(3, 3, 14, 2, 2);
inline constexpr RegId<u64> ptimer_cnt = sys_reg(3, 3, 14, 0, 1);

/// CCSIDR_EL1 of the cache that CSSELR_EL1 would select by `csselr`.
consteval RegId<u32> ccsidr(u64 csselr) {
    return RegId<u32>(reg_arm64 | reg_size_u32 | 0x11 << 16 | csselr);
}

/// KVM as firmware: KVM_REG_ARM_PSCI_VERSION, major << 16 | minor, and the SMCCC workarounds.
inline constexpr RegId<u64> psci_version(reg_id::firmware | 0);
inline constexpr RegId<SmcccArchWorkaround1> smccc_arch_workaround_1(reg_id::firmware | 1);
inline constexpr RegId<SmcccArchWorkaround2> smccc_arch_workaround_2(reg_id::firmware | 2);
inline constexpr RegId<SmcccArchWorkaround3> smccc_arch_workaround_3(reg_id::firmware | 3);
/// KVM_REG_ARM_*_BMAP: which hypercalls the guest has, by StdBit, StdHypBit, VendorHypBit and
/// VendorHyp2Bit.
inline constexpr RegId<u64> std_bmap(reg_id::firmware_bitmap | 0);
inline constexpr RegId<u64> std_hyp_bmap(reg_id::firmware_bitmap | 1);
inline constexpr RegId<u64> vendor_hyp_bmap(reg_id::firmware_bitmap | 2);
inline constexpr RegId<u64> vendor_hyp_bmap_2(reg_id::firmware_bitmap | 3);

/// SVE's Z0 to Z31, P0 to P15 and FFR, by slices of 2048 and 256 bits.
consteval RegId<Wide<32>> z(u64 n, u64 slice = 0) {
    return RegId<Wide<32>>(reg_id::sve | reg_size_u2048 | n << 5 | slice);
}
consteval RegId<Wide<4>> p(u64 n, u64 slice = 0) {
    return RegId<Wide<4>>(reg_id::sve | reg_size_u256 | 0x400 | n << 5 | slice);
}
consteval RegId<Wide<4>> ffr(u64 slice = 0) {
    return RegId<Wide<4>>(reg_id::sve | reg_size_u256 | 0x600 | slice);
}
/// KVM_REG_ARM64_SVE_VLS: bit n - 1 allows vectors of n * 128 bits. Before VcpuOps::finalize().
inline constexpr RegId<Wide<8>> sve_vls(reg_id::sve | reg_size_u512 | 0xffff);

}  // namespace kvm::aarch64
