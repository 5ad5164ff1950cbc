// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <array>
#include <kvm/try.hpp>
#include <vmm/fake.hpp>
#include <vmm/memory/guest_memory.hpp>
#include <vmm/x86_64/boot_state.hpp>
#include <vmm/x86_64/layout.hpp>

namespace vmm::x86_64 {

namespace {

// Intel SDM volume 3, 4.5: entries of page tables.
constexpr std::uint64_t present_writable = 0x3;
constexpr std::uint64_t page_2m = 0x80;

// Intel SDM volume 3, 3.4.5. Linux wants its selectors where boot.rst says: CS 0x10, data 0x18.
constexpr std::array<std::uint64_t, 4> descriptors{
    0, 0,
    0x00af9b000000ffff,  // code, readable, accessed, long
    0x00cf93000000ffff,  // data, writable, accessed
};

// Intel SDM volume 3, 2.5.
constexpr std::uint64_t cr0_pe = 1, cr0_mp = 2, cr0_et = 0x10, cr0_ne = 0x20, cr0_pg = 0x80000000;
constexpr std::uint64_t cr4_pae = 0x20, cr4_osfxsr = 0x200, cr4_osxmmexcpt = 0x400;
constexpr std::uint64_t efer_lme = 0x100, efer_lma = 0x400;

void set_real_mode(kvm::Sregs& sregs, const BootState& state) {
    for (kvm::Segment* segment :
         {&sregs.cs, &sregs.ds, &sregs.es, &sregs.fs, &sregs.gs, &sregs.ss}) {
        segment->selector = state.segment;
        segment->base = std::uint64_t(state.segment) * 16;
    }
}

void set_long_mode(kvm::Sregs& sregs, const BootState& state) {
    kvm::Segment code{};
    code.limit = 0xffffffff;
    code.selector = 0x10;
    code.type = 0xb;
    code.present = code.s = code.g = code.l = 1;
    kvm::Segment data = code;
    data.selector = 0x18;
    data.type = 0x3;
    data.l = 0;
    data.db = 1;
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.gdt = {state.gdt.value(), sizeof descriptors - 1, {}};
    sregs.idt = {0, 0, {}};  // an exception before the guest has its own is a triple fault
    sregs.cr0 = cr0_pe | cr0_mp | cr0_et | cr0_ne | cr0_pg;
    sregs.cr3 = state.page_tables.value();
    sregs.cr4 = cr4_pae | cr4_osfxsr | cr4_osxmmexcpt;
    sregs.efer = efer_lme | efer_lma;
}

}  // namespace

Result<void> prepare_long_mode(const GuestMemory& memory, BootState& state) {
    constexpr std::size_t directories = layout::identity_mapped >> 30;
    constexpr std::size_t entries = 512;
    static_assert(layout::page_tables_size == (2 + directories) * 0x1000);
    std::array<std::uint64_t, (2 + directories) * entries> tables{};
    const std::uint64_t at = layout::page_tables.value();

    tables[0] = (at + 0x1000) | present_writable;
    for (std::size_t i = 0; i < directories; ++i) {
        tables[entries + i] = (at + (2 + i) * 0x1000) | present_writable;
    }
    for (std::uint64_t i = 0; i < directories * entries; ++i) {
        tables[2 * entries + i] = (i << 21) | page_2m | present_writable;
    }
    KVM_TRY(memory.write(layout::page_tables, std::as_bytes(std::span(tables))));
    KVM_TRY(memory.write(layout::gdt, std::as_bytes(std::span(descriptors))));
    state.mode = CpuMode::long_64;
    state.page_tables = layout::page_tables;
    state.gdt = layout::gdt;
    return {};
}

template <HypervisorVcpu Vcpu>
Result<void> apply(Vcpu& vcpu, const BootState& state) {
    kvm::Sregs sregs = KVM_TRY(vcpu.sregs());
    if (state.mode == CpuMode::real) {
        set_real_mode(sregs, state);
    } else {
        set_long_mode(sregs, state);
    }
    KVM_TRY(vcpu.set_sregs(sregs));

    kvm::Regs regs{};
    regs.rip = state.rip;
    regs.rsp = state.rsp;
    regs.rsi = state.rsi;
    regs.rflags = 2;  // the bit that is always set; IF is not
    KVM_TRY(vcpu.set_regs(regs));

    kvm::Fpu fpu{};  // KVM_SET_FPU takes no MXCSR: that is as after reset
    fpu.fcw = 0x37f;
    KVM_TRY(vcpu.set_fpu(fpu));
    return {};
}

template Result<void> apply(kvm::Vcpu&, const BootState&);
template Result<void> apply(fake::Vcpu&, const BootState&);

}  // namespace vmm::x86_64
