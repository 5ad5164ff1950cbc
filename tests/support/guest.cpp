// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <cstdio>
#include <support/guest.hpp>
#include <sys/mman.h>
#include <system_error>

namespace kvm::test {

namespace {

constexpr u64 cr0_pe = 1, cr0_mp = 2, cr0_et = 0x10, cr0_ne = 0x20, cr0_wp = 0x10000,
              cr0_pg = 1u << 31;
constexpr u64 cr4_pae = 0x20, cr4_osfxsr = 0x200, cr4_osxmmexcpt = 0x400;
constexpr u64 efer_lme = 0x100, efer_lma = 0x400;
constexpr u64 page_present_writable_user = 7, page_large = 0x80;

template <class... Args>
std::string format(const char* pattern, Args... args) {
    char text[512];
    std::snprintf(text, sizeof text, pattern, args...);
    return text;
}

std::string hex(Bytes bytes) {
    std::string text;
    for (const std::byte byte : bytes.first(std::min<std::size_t>(bytes.size(), 16))) {
        text += format(" %02x", static_cast<unsigned>(byte));
    }
    return text;
}

Segment real_segment(u8 type) {
    return {.base = 0,
            .limit = 0xffff,
            .selector = 0,
            .type = type,
            .present = 1,
            .dpl = 0,
            .db = 0,
            .s = 1,
            .l = 0,
            .g = 0,
            .avl = 0,
            .unusable = 0,
            .padding = 0};
}

Segment long_segment(u16 selector, u8 type, u8 l) {
    return {.base = 0,
            .limit = 0xffffffff,
            .selector = selector,
            .type = type,
            .present = 1,
            .dpl = 0,
            .db = u8(l ? 0 : 1),
            .s = 1,
            .l = l,
            .g = 1,
            .avl = 0,
            .unusable = 0,
            .padding = 0};
}

Segment tss_segment() {
    return {.base = layout::tss,
            .limit = 0x67,
            .selector = layout::tss_selector,
            .type = 11,
            .present = 1,
            .dpl = 0,
            .db = 0,
            .s = 0,
            .l = 0,
            .g = 0,
            .avl = 0,
            .unusable = 0,
            .padding = 0};
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

std::string describe(const Exit& exit) {
    const std::string name = kvm::name(exit.reason());
    return exit.visit(handlers{
        [&](const exit::IoIn& e) {
            return format("%s: in from port %#x, size %u, count %u", name.c_str(),
                          static_cast<unsigned>(e.port), unsigned(e.size), e.count);
        },
        [&](const exit::IoOut& e) {
            return format("%s: out to port %#x, size %u, count %u:", name.c_str(),
                          static_cast<unsigned>(e.port), unsigned(e.size), e.count) +
                   hex(e.data);
        },
        [&](const exit::MmioRead& e) {
            return format("%s: read of %zu at %#llx", name.c_str(), e.data.size(),
                          static_cast<unsigned long long>(e.address.value()));
        },
        [&](const exit::MmioWrite& e) {
            return format("%s: write of %zu at %#llx:", name.c_str(), e.data.size(),
                          static_cast<unsigned long long>(e.address.value())) +
                   hex(e.data);
        },
        [&](const exit::Debug& e) {
            return format("%s: exception %u at %#llx, dr6 %#llx", name.c_str(), e.arch.exception,
                          static_cast<unsigned long long>(e.arch.pc),
                          static_cast<unsigned long long>(e.arch.dr6));
        },
        [&](const exit::FailEntry& e) {
            return format("%s: reason %#llx", name.c_str(),
                          static_cast<unsigned long long>(e.hardware_entry_failure_reason));
        },
        [&](const exit::InternalError& e) {
            return format("%s: suberror %u, instruction", name.c_str(),
                          static_cast<u32>(e.suberror)) +
                   hex(std::as_bytes(e.insn));
        },
        [&](const exit::Other& e) { return format("a new exit, %u", e.reason); },
        [&](const auto&) { return name; },
    });
}

Guest::Guest(const Kvm& kvm, const std::function<void(Vm&)>& before_vcpu) {
    vm_ = must(kvm.create_vm());
    void* memory = mmap(nullptr, layout::memory_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        throw std::system_error(errno, std::generic_category(), "mmap of the guest's memory");
    }
    memory_ = {static_cast<std::byte*>(memory), layout::memory_size};
    slot_ = must(vm_->add_memory(Slot(0), 0_gpa, memory_));
    // On Intel, real mode needs these two; elsewhere they do no harm.
    must(vm_->set_identity_map_addr(0xfffbc000_gpa));
    must(vm_->set_tss_addr(0xfffbd000_gpa));
    if (before_vcpu) {
        before_vcpu(*vm_);
    }
    vcpu_ = must(vm_->create_vcpu(VcpuId(0)));
    must(vcpu_->set_cpuid2(must(kvm.supported_cpuid())));
}

Guest::~Guest() {
    vcpu_.reset();
    vm_.reset();
    munmap(memory_.data(), memory_.size());
}

void Guest::load_real(Bytes code) {
    write(layout::real_code, code);
    Sregs sregs = must(vcpu_->sregs());
    sregs.cs = real_segment(11);
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = real_segment(3);
    must(vcpu_->set_sregs(sregs));
    Regs regs = {};
    regs.rip = layout::real_code;
    regs.rsp = 0x8000;
    regs.rflags = 2;
    must(vcpu_->set_regs(regs));
}

void Guest::load_long(Bytes code) {
    write(layout::long_code, code);
    write_page_tables(*this);
    write_gdt(*this);
    Sregs sregs = must(vcpu_->sregs());
    sregs.cs = long_segment(layout::code_selector, 11, 1);
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss =
        long_segment(layout::data_selector, 3, 0);
    sregs.tr = tss_segment();
    sregs.gdt = {.base = layout::gdt, .limit = 0x27, .padding = {}};
    sregs.idt = {.base = layout::idt, .limit = 0xfff, .padding = {}};
    sregs.cr0 = cr0_pe | cr0_mp | cr0_et | cr0_ne | cr0_wp | cr0_pg;
    sregs.cr3 = layout::page_tables;
    sregs.cr4 = cr4_pae | cr4_osfxsr | cr4_osxmmexcpt;
    sregs.efer = efer_lme | efer_lma;
    must(vcpu_->set_sregs(sregs));
    Regs regs = {};
    regs.rip = layout::long_code;
    regs.rsp = layout::stack_end;
    regs.rflags = 2;
    must(vcpu_->set_regs(regs));
}

void Guest::set_gate(u8 vector, std::size_t offset) {
    const u64 handler = layout::long_code + offset;
    write<u64>(layout::idt + vector * 16u, (handler & 0xffff) | u64(layout::code_selector) << 16 |
                                               0x8e00ull << 32 | (handler >> 16 & 0xffff) << 48);
    write<u64>(layout::idt + vector * 16u + 8, handler >> 32);
}

Exit Guest::run(std::chrono::milliseconds limit) {
    const Watchdog watchdog(limit);
    Exit exit = must(vcpu_->run());
    if (exit.reason() == ExitReason::intr && watchdog.expired()) {
        const Regs now = regs();
        throw std::runtime_error(format("the guest made no exit within %lld ms; it is at rip %#llx",
                                        static_cast<long long>(limit.count()),
                                        static_cast<unsigned long long>(now.rip)));
    }
    return exit;
}

std::byte* Guest::at(u64 address, std::size_t size) const {
    if (address > memory_.size() || size > memory_.size() - address) {
        throw std::out_of_range(
            format("%#llx is beyond the guest's memory", static_cast<unsigned long long>(address)));
    }
    return memory_.data() + address;
}

void Guest::unexpected(const Exit& exit) {
    const Regs now = regs();
    throw std::runtime_error(
        "unexpected exit: " + describe(exit) +
        format("; rip %#llx, rax %#llx, rcx %#llx, rdx %#llx, rsp %#llx, rflags %#llx",
               static_cast<unsigned long long>(now.rip), static_cast<unsigned long long>(now.rax),
               static_cast<unsigned long long>(now.rcx), static_cast<unsigned long long>(now.rdx),
               static_cast<unsigned long long>(now.rsp),
               static_cast<unsigned long long>(now.rflags)));
}

}  // namespace kvm::test
