// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/riscv64.hpp>
#include <kvm/one_reg.hpp>

/// The ids of riscv64's registers in the ONE_REG interface: Documentation/virt/kvm/api.rst 4.68.
namespace kvm::riscv64 {

namespace reg_id {

consteval RegId<u64> reg(u64 type, std::size_t offset) {
    return RegId<u64>(reg_riscv | reg_size_u64 | type << 24 | offset / 8);
}
consteval RegId<u64> subreg(u64 type, u64 subtype, std::size_t index) {
    return RegId<u64>(reg_riscv | reg_size_u64 | type << 24 | subtype << 16 | index);
}

}  // namespace reg_id

/// KVM_REG_RISCV_CONFIG.
inline constexpr RegId<u64> isa = reg_id::reg(1, offsetof(ConfigRegs, isa));
inline constexpr RegId<u64> zicbom_block_size =
    reg_id::reg(1, offsetof(ConfigRegs, zicbom_block_size));
inline constexpr RegId<u64> mvendorid = reg_id::reg(1, offsetof(ConfigRegs, mvendorid));
inline constexpr RegId<u64> marchid = reg_id::reg(1, offsetof(ConfigRegs, marchid));
inline constexpr RegId<u64> mimpid = reg_id::reg(1, offsetof(ConfigRegs, mimpid));
inline constexpr RegId<u64> zicboz_block_size =
    reg_id::reg(1, offsetof(ConfigRegs, zicboz_block_size));
inline constexpr RegId<u64> satp_mode = reg_id::reg(1, offsetof(ConfigRegs, satp_mode));
inline constexpr RegId<u64> zicbop_block_size =
    reg_id::reg(1, offsetof(ConfigRegs, zicbop_block_size));

/// KVM_REG_RISCV_CORE: x(1) is ra, x(2) sp, x(10) a0.
inline constexpr RegId<u64> pc = reg_id::reg(2, offsetof(CoreRegs, pc));
consteval RegId<u64> x(unsigned n) { return reg_id::reg(2, offsetof(CoreRegs, x) + (n - 1) * 8); }
inline constexpr RegId<PrivilegeMode> mode(reg_id::reg(2, offsetof(CoreRegs, mode)).value());

/// KVM_REG_RISCV_CSR.
inline constexpr RegId<u64> sstatus = reg_id::reg(3, offsetof(CsrRegs, sstatus));
inline constexpr RegId<u64> sie = reg_id::reg(3, offsetof(CsrRegs, sie));
inline constexpr RegId<u64> stvec = reg_id::reg(3, offsetof(CsrRegs, stvec));
inline constexpr RegId<u64> sscratch = reg_id::reg(3, offsetof(CsrRegs, sscratch));
inline constexpr RegId<u64> sepc = reg_id::reg(3, offsetof(CsrRegs, sepc));
inline constexpr RegId<u64> scause = reg_id::reg(3, offsetof(CsrRegs, scause));
inline constexpr RegId<u64> stval = reg_id::reg(3, offsetof(CsrRegs, stval));
inline constexpr RegId<u64> sip = reg_id::reg(3, offsetof(CsrRegs, sip));
inline constexpr RegId<u64> satp = reg_id::reg(3, offsetof(CsrRegs, satp));
inline constexpr RegId<u64> scounteren = reg_id::reg(3, offsetof(CsrRegs, scounteren));
inline constexpr RegId<u64> senvcfg = reg_id::reg(3, offsetof(CsrRegs, senvcfg));
/// By word of AiaCsrRegs: KVM_REG_RISCV_CSR_AIA. And KVM_REG_RISCV_CSR_SMSTATEEN's one.
consteval RegId<u64> aia_csr(std::size_t word) { return reg_id::subreg(3, 1, word); }
inline constexpr RegId<u64> sstateen0 = reg_id::subreg(3, 2, 0);

/// KVM_REG_RISCV_TIMER.
inline constexpr RegId<u64> timer_frequency = reg_id::reg(4, offsetof(TimerRegs, frequency));
inline constexpr RegId<u64> timer_time = reg_id::reg(4, offsetof(TimerRegs, time));
inline constexpr RegId<u64> timer_compare = reg_id::reg(4, offsetof(TimerRegs, compare));
inline constexpr RegId<TimerState> timer_state(reg_id::reg(4, offsetof(TimerRegs, state)).value());

/// KVM_REG_RISCV_FP_F and _FP_D: f0 to f31, then fcsr.
consteval RegId<u32> f32(unsigned n) {
    return RegId<u32>(reg_riscv | reg_size_u32 | u64(5) << 24 | n);
}
consteval RegId<u64> f64(unsigned n) { return reg_id::subreg(6, 0, n); }
inline constexpr RegId<u32> fcsr(reg_riscv | reg_size_u32 | u64(6) << 24 | 32);

/// KVM_REG_RISCV_ISA_EXT: whether the guest has the ISA extension.
consteval RegId<u64> isa_ext(IsaExt ext) { return reg_id::subreg(7, 0, std::size_t(ext)); }
/// KVM_REG_RISCV_ISA_MULTI_EN, _DIS: 64 of them at once, bit n of `word` for extension 64 * word +
/// n: those that are to be switched on, and off.
consteval RegId<u64> isa_multi_en(u64 word) { return reg_id::subreg(7, 1, word); }
consteval RegId<u64> isa_multi_dis(u64 word) { return reg_id::subreg(7, 2, word); }
/// KVM_REG_RISCV_SBI_EXT: whether the guest has the SBI extension; and many of them, as with ISA's.
consteval RegId<u64> sbi_ext(SbiExt ext) { return reg_id::subreg(8, 0, std::size_t(ext)); }
consteval RegId<u64> sbi_multi_en(u64 word) { return reg_id::subreg(8, 1, word); }
consteval RegId<u64> sbi_multi_dis(u64 word) { return reg_id::subreg(8, 2, word); }
/// KVM_REG_RISCV_SBI_STA and _FWFT: the state of SBI extensions, by word of SbiSta and SbiFwft.
consteval RegId<u64> sbi_sta(u64 word) { return reg_id::subreg(10, 0, word); }
consteval RegId<u64> sbi_fwft(u64 word) { return reg_id::subreg(10, 1, word); }

/// KVM_REG_RISCV_VECTOR: vstart, vl, vtype, vcsr, vlenb. Vcpu::reg_list() has the ids of v0 to v31,
/// which are as long as the host's vectors.
consteval RegId<u64> vector_csr(u64 word) { return reg_id::subreg(9, 0, word); }

}  // namespace kvm::riscv64
