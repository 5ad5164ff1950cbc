// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <support/guest.hpp>
#include <support/text.hpp>

namespace kvm::test {

namespace {

constexpr u64 cr0_pe = 1, cr0_mp = 2, cr0_et = 0x10, cr0_ne = 0x20, cr0_wp = 0x10000,
              cr0_pg = 1u << 31;
constexpr u64 cr4_pae = 0x20, cr4_osfxsr = 0x200, cr4_osxmmexcpt = 0x400;
constexpr u64 efer_lme = 0x100, efer_lma = 0x400;
constexpr u64 page_present_writable_user = 7, page_large = 0x80;
constexpr u8 type_data = 3, type_tss = 11, type_code = 11;

Segment segment(u16 selector, u8 type, u32 limit) {
    Segment segment = {};
    segment.limit = limit;
    segment.selector = selector;
    segment.type = type;
    segment.present = segment.s = 1;
    segment.g = limit > 0xffff;
    return segment;
}

/// Four levels: one to one, 2 MiB pages, the first 4 GiB, for kernel and user.
void write_page_tables(Guest& guest) {
    const u64 pml4 = layout::page_tables, pdpt = pml4 + 0x1000, directories = pdpt + 0x1000;
    guest.write<u64>(pml4, pdpt | page_present_writable_user);
    for (u64 i = 0; i < 4; ++i) {
        guest.write<u64>(pdpt + i * 8, (directories + i * 0x1000) | page_present_writable_user);
    }
    for (u64 i = 0; i < 4 * 512; ++i) {
        guest.write<u64>(directories + i * 8, i << 21 | page_large | page_present_writable_user);
    }
}

void write_gdt(Guest& guest) {
    guest.write<u64>(layout::gdt, 0);
    guest.write<u64>(layout::gdt + layout::code_selector, 0x00af9b000000ffff);
    guest.write<u64>(layout::gdt + layout::data_selector, 0x00cf93000000ffff);
    guest.write<u64>(layout::gdt + layout::tss_selector, 0x00008b0000000067 | layout::tss << 16);
    guest.write<u64>(layout::gdt + layout::tss_selector + 8, 0);
    guest.write<u64>(layout::tss + 4, layout::stack_end);  // RSP0
}

}  // namespace

std::string describe_registers(const Vcpu& vcpu) {
    const Regs now = must(vcpu.regs());
    return format("rip %#lx, rax %#lx, rcx %#lx, rdx %#lx, rsp %#lx, rflags %#lx", now.rip, now.rax,
                  now.rcx, now.rdx, now.rsp, now.rflags);
}

std::string describe_debug(const exit::Debug& debug) {
    return format("exception %u at %#lx, dr6 %#lx", debug.arch.exception, debug.arch.pc,
                  debug.arch.dr6);
}

bool is_stop(const Exit& exit) { return exit.reason() == ExitReason::hlt; }

Guest::Guest(const Kvm& kvm, const std::function<void(Vm&)>& before_vcpu) : GuestBase(kvm) {
    // On Intel, real mode needs these two; elsewhere they do no harm.
    must(vm().set_identity_map_addr(0xfffbc000_gpa));
    must(vm().set_tss_addr(0xfffbd000_gpa));
    if (before_vcpu) {
        before_vcpu(vm());
    }
    set_vcpu(must(vm().create_vcpu(VcpuId(0))));
    must(vcpu().set_cpuid2(must(kvm.supported_cpuid())));
}

void Guest::load_real(Bytes code) {
    Sregs sregs = must(vcpu().sregs());
    sregs.cs = segment(0, type_code, 0xffff);
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment(0, type_data, 0xffff);
    start(code, layout::real_code, 0x8000, sregs);
}

void Guest::load_long(Bytes code) {
    write_page_tables(*this);
    write_gdt(*this);
    Sregs sregs = must(vcpu().sregs());
    sregs.cs = segment(layout::code_selector, type_code, ~u32(0));
    sregs.cs.l = 1;
    sregs.ss = segment(layout::data_selector, type_data, ~u32(0));
    sregs.ss.db = 1;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss;
    sregs.tr = segment(layout::tss_selector, type_tss, 0x67);
    sregs.tr.base = layout::tss;
    sregs.tr.s = 0;
    sregs.gdt = {.base = layout::gdt, .limit = 0x27, .padding = {}};
    sregs.idt = {.base = layout::idt, .limit = 0xfff, .padding = {}};
    sregs.cr0 = cr0_pe | cr0_mp | cr0_et | cr0_ne | cr0_wp | cr0_pg;
    sregs.cr3 = layout::page_tables;
    sregs.cr4 = cr4_pae | cr4_osfxsr | cr4_osxmmexcpt;
    sregs.efer = efer_lme | efer_lma;
    start(code, layout::long_code, layout::stack_end, sregs);
}

void Guest::start(Bytes code, u64 address, u64 stack, const Sregs& sregs) {
    finish_last_exit();
    write(address, code);
    must(vcpu().set_sregs(sregs));
    Regs regs = {};
    regs.rip = address;
    regs.rsp = stack;
    regs.rflags = 2;
    must(vcpu().set_regs(regs));
}

void Guest::set_gate(u8 vector, std::size_t offset) {
    const u64 handler = layout::long_code + offset;
    write<u64>(layout::idt + vector * 16u, (handler & 0xffff) | u64(layout::code_selector) << 16 |
                                               0x8e00ull << 32 | (handler >> 16 & 0xffff) << 48);
    write<u64>(layout::idt + vector * 16u + 8, handler >> 32);
}

}  // namespace kvm::test
