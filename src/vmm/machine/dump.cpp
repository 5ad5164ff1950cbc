// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <iterator>
#include <vmm/machine/dump.hpp>

namespace vmm::detail {

namespace {

using Out = std::back_insert_iterator<std::string>;

void dump_regs(Out out, const kvm::Regs& r) {
    fmt::format_to(out, "rip {:016x} rflags {:016x}\n", r.rip, r.rflags);
    const std::pair<const char*, std::uint64_t> regs[] = {
        {"rax", r.rax}, {"rbx", r.rbx}, {"rcx", r.rcx}, {"rdx", r.rdx},
        {"rsi", r.rsi}, {"rdi", r.rdi}, {"rsp", r.rsp}, {"rbp", r.rbp},
        {"r8 ", r.r8},  {"r9 ", r.r9},  {"r10", r.r10}, {"r11", r.r11},
        {"r12", r.r12}, {"r13", r.r13}, {"r14", r.r14}, {"r15", r.r15},
    };
    for (std::size_t i = 0; i < std::size(regs); ++i) {
        fmt::format_to(out, "{} {:016x}{}", regs[i].first, regs[i].second, i % 4 == 3 ? '\n' : ' ');
    }
}

void dump_sregs(Out out, const kvm::Sregs& s) {
    fmt::format_to(out, "cr0 {:016x} cr2 {:016x} cr3 {:016x} cr4 {:016x}\n", s.cr0, s.cr2, s.cr3,
                   s.cr4);
    fmt::format_to(out, "efer {:x} cr8 {:x} apic base {:x}\n", s.efer, s.cr8, s.apic_base);
    const std::pair<const char*, const kvm::Segment&> segments[] = {
        {"cs", s.cs}, {"ds", s.ds}, {"es", s.es}, {"fs", s.fs},
        {"gs", s.gs}, {"ss", s.ss}, {"tr", s.tr}, {"ldt", s.ldt},
    };
    for (const auto& [name, g] : segments) {
        fmt::format_to(out, "{:3} {:04x} base {:016x} limit {:08x} type {:x} dpl {}{}{}{}{}\n",
                       name, g.selector, g.base, g.limit, g.type, g.dpl, g.s ? "" : " system",
                       g.l    ? " 64-bit"
                       : g.db ? " 32-bit"
                              : "",
                       g.g ? " pages" : "", g.unusable || !g.present ? " absent" : "");
    }
    fmt::format_to(out, "gdt base {:016x} limit {:04x}\nidt base {:016x} limit {:04x}\n",
                   s.gdt.base, s.gdt.limit, s.idt.base, s.idt.limit);
}

}  // namespace

std::string describe_cpu(std::uint32_t id, const kvm::Regs& regs, const kvm::Sregs& sregs) {
    std::string text = fmt::format("vCPU {}:\n", id);
    const Out out(text);
    dump_regs(out, regs);
    dump_sregs(out, sregs);
    if (is_reset_state(regs, sregs)) {
        text += "this is the state after a reset, which kvm-amd puts in place of the last one\n";
    }
    return text;
}

bool is_reset_state(const kvm::Regs& regs, const kvm::Sregs& sregs) {
    return regs.rip == 0xfff0 && sregs.cs.base == 0xffff0000;
}

kvm::Gva code_address(const kvm::Regs& regs, const kvm::Sregs& sregs) {
    const bool long_mode = sregs.cs.l != 0;
    return kvm::Gva(long_mode ? regs.rip : (sregs.cs.base + regs.rip) & 0xffffffff);
}

std::string describe_code(const GuestMemory& memory, kvm::Gva at,
                          const kvm::Result<kvm::Translation>& translation) {
    const std::uint64_t linear = at.value();
    if (!translation || !translation->valid) {
        return fmt::format("code at {:#x}: not mapped\n", linear);
    }
    const kvm::Gpa address(translation->physical_address);
    std::array<std::byte, 16> bytes;
    const std::size_t in_page = 0x1000 - (linear & 0xfff);
    const auto code = std::span(bytes).first(std::min(bytes.size(), in_page));
    if (!memory.read(address, code)) {
        return fmt::format("code at {:#x}: not RAM, {:#x}\n", linear, address.value());
    }
    std::string text = fmt::format("code at {:#x}:", linear);
    for (const std::byte byte : code) {
        fmt::format_to(Out(text), " {:02x}", std::to_integer<unsigned>(byte));
    }
    return text + "\n";
}

}  // namespace vmm::detail
