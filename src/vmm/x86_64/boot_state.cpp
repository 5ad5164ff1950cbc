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
constexpr std::uint64_t code_32 = 0x00cf9b000000ffff;  // readable, accessed, 4 GiB
constexpr std::uint64_t code_64 = 0x00af9b000000ffff;  // the same, long
constexpr std::uint64_t data_32 = 0x00cf93000000ffff;  // writable, accessed, 4 GiB
constexpr std::uint64_t tss_32 = 0x00008b0000000067;   // busy, at 0; nothing is read from it
using Descriptors = std::array<std::uint64_t, 5>;

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

void set_flat_segments(kvm::Sregs& sregs, const BootState& state) {
    kvm::Segment code{};
    code.limit = 0xffffffff;
    code.selector = 0x10;
    code.type = 0xb;
    code.present = code.s = code.g = code.db = 1;
    kvm::Segment data = code;
    data.selector = 0x18;
    data.type = 0x3;
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.gdt = {state.gdt.value(), sizeof(Descriptors) - 1, {}};
    sregs.idt = {0, 0, {}};  // an exception before the guest has its own is a triple fault
}

void set_protected_mode(kvm::Sregs& sregs, const BootState& state) {
    set_flat_segments(sregs, state);
    sregs.tr = {};
    sregs.tr.limit = 0x67;
    sregs.tr.selector = 0x20;
    sregs.tr.type = 0xb;
    sregs.tr.present = 1;
    sregs.cr0 = cr0_pe | cr0_et;
}

void set_long_mode(kvm::Sregs& sregs, const BootState& state) {
    set_flat_segments(sregs, state);
    sregs.cs.l = 1;
    sregs.cs.db = 0;
    sregs.cr0 = cr0_pe | cr0_mp | cr0_et | cr0_ne | cr0_pg;
    sregs.cr3 = state.page_tables.value();
    sregs.cr4 = cr4_pae | cr4_osfxsr | cr4_osxmmexcpt;
    sregs.efer = efer_lme | efer_lma;
}

Result<void> write_page_tables(const GuestMemory& memory) {
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
    return memory.write(layout::page_tables, std::as_bytes(std::span(tables)));
}

}  // namespace

Result<void> prepare(const GuestMemory& memory, CpuMode mode, BootState& state) {
    const bool is_long = mode == CpuMode::long_64;
    if (is_long) {
        KVM_TRY(write_page_tables(memory));
        state.page_tables = layout::page_tables;
    }
    const Descriptors descriptors{0, 0, is_long ? code_64 : code_32, data_32, tss_32};
    KVM_TRY(memory.write(layout::gdt, std::as_bytes(std::span(descriptors))));
    state.mode = mode;
    state.gdt = layout::gdt;
    return {};
}

template <HypervisorVcpu Vcpu>
Result<void> apply(Vcpu& vcpu, const BootState& state) {
    kvm::Sregs sregs = KVM_TRY(vcpu.sregs());
    switch (state.mode) {
        case CpuMode::real:
            set_real_mode(sregs, state);
            break;
        case CpuMode::protected_32:
            set_protected_mode(sregs, state);
            break;
        case CpuMode::long_64:
            set_long_mode(sregs, state);
            break;
    }
    KVM_TRY(vcpu.set_sregs(sregs));

    kvm::Regs regs{};
    regs.rip = state.rip;
    regs.rsp = state.rsp;
    regs.rax = state.rax;
    regs.rbx = state.rbx;
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
