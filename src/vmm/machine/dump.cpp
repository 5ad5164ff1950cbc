// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <tuple>
#include <vmm/machine/impl.hpp>

namespace vmm {

namespace detail {

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

/// The bytes at CS:RIP, as far as they are RAM.
void dump_code(Out out, const Cpu& cpu, const GuestMemory& memory, std::uint64_t linear) {
    const auto translation = cpu.vcpu.translate(kvm::Gva(linear));
    if (!translation || !translation->valid) {
        fmt::format_to(out, "code at {:#x}: not mapped\n", linear);
        return;
    }
    const kvm::Gpa address(translation->physical_address);
    std::array<std::byte, 16> bytes;
    const std::size_t in_page = 0x1000 - (linear & 0xfff);
    const auto code = std::span(bytes).first(std::min(bytes.size(), in_page));
    if (!memory.read(address, code)) {
        fmt::format_to(out, "code at {:#x}: not RAM, {:#x}\n", linear, address.value());
        return;
    }
    fmt::format_to(out, "code at {:#x}:", linear);
    for (const std::byte byte : code) {
        fmt::format_to(out, " {:02x}", std::to_integer<unsigned>(byte));
    }
    fmt::format_to(out, "\n");
}

}  // namespace

std::string dump(const Cpu& cpu, const GuestMemory& memory) {
    std::string text = fmt::format("vCPU {}:\n", cpu.id);
    const Out out(text);
    const auto regs = cpu.vcpu.regs();
    const auto sregs = cpu.vcpu.sregs();
    if (!regs || !sregs) {
        text += Error(!regs ? regs.error() : sregs.error()).message + "\n";
        return text;
    }
    dump_regs(out, *regs);
    dump_sregs(out, *sregs);
    if (regs->rip == 0xfff0 && sregs->cs.base == 0xffff0000) {
        text += "this is the state after a reset, which kvm-amd puts in place of the last one\n";
        return text;
    }
    const bool long_mode = sregs->cs.l != 0;
    const std::uint64_t linear = long_mode ? regs->rip : (sregs->cs.base + regs->rip) & 0xffffffff;
    dump_code(out, cpu, memory, linear);
    return text;
}

}  // namespace detail

MachineReport Machine::Impl::report() const {
    MachineReport report;
    for (std::uint32_t reason = 0; reason <= kvm::exit_reason_count; ++reason) {
        std::uint64_t count = 0;
        for (const auto& cpu : cpus_) {
            count += cpu->exits[reason];
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
    report.ports = ports_.unhandled();
    report.addresses = mmio_.unhandled();
    report.msrs = msrs_.list();
    for (const detail::IrqchipLine* line : {&keyboard_line_, &serial_line_}) {
        if (line->failures()) {
            report.notes.push_back(fmt::format("KVM_IRQ_LINE failed {} times for GSI {}",
                                               line->failures(),
                                               static_cast<std::uint32_t>(line->gsi())));
        }
    }
    return report;
}

}  // namespace vmm
