// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "verbs.hpp"

#include <array>
#include <cstdio>
#include <fmt/format.h>
#include <kvm/kvm.hpp>
#include <kvm/try.hpp>
#include <string>
#include <vmm/memory/guest_memory.hpp>
#include <vmm/x86_64/boot_state.hpp>

namespace kvmxx {

namespace {

constexpr kvm::Gpa code_address(0x1000);

/// Real mode: adds 2 and 3, prints the digit and a newline on port 0x3f8, writes a byte where there
/// is no memory, reads it back, prints that, halts.
constexpr std::array<unsigned char, 23> code{
    0xba, 0xf8, 0x03,             // mov dx, 0x3f8
    0x00, 0xd8,                   // add al, bl
    0x04, '0',                    // add al, '0'
    0xee,                         // out dx, al
    0xb0, '\n',                   // mov al, '\n'
    0xee,                         // out dx, al
    0xc6, 0x06, 0x00, 0x80, '!',  // mov byte [0x8000], '!'
    0xb0, 0x00,                   // mov al, 0
    0xa0, 0x00, 0x80,             // mov al, [0x8000]
    0xee,                         // out dx, al
    0xf4,                         // hlt
};

/// Of a guest that has gone astray, no more exits than these are shown.
constexpr int most_exits = 100;

std::string show(std::span<const std::byte> data) {
    std::string text;
    for (const std::byte byte : data) {
        const auto c = std::to_integer<unsigned char>(byte);
        text += c > ' ' && c < 0x7f ? fmt::format(" {:#04x} '{}'", c, static_cast<char>(c))
                                    : fmt::format(" {:#04x}", c);
    }
    return text;
}

/// Prints exits and answers them; `done` becomes true at the last.
struct Printer {
    std::byte stored{};
    std::string said;
    bool done = false;

    bool operator()(const kvm::exit::IoOut& io) {
        fmt::print("IO    out to port {:#x}:{}\n", static_cast<unsigned>(io.port), show(io.data));
        for (const std::byte byte : io.data) {
            said += static_cast<char>(byte);
        }
        return true;
    }
    bool operator()(const kvm::exit::MmioWrite& mmio) {
        fmt::print("MMIO  write to {:#x}:{}\n", mmio.address.value(), show(mmio.data));
        stored = mmio.data.empty() ? std::byte{} : mmio.data[0];
        return true;
    }
    bool operator()(const kvm::exit::MmioRead& mmio) {
        for (std::byte& byte : mmio.data) {
            byte = stored;
        }
        fmt::print("MMIO  read from {:#x}, answered:{}\n", mmio.address.value(), show(mmio.data));
        return true;
    }
    bool operator()(const kvm::exit::Hlt&) {
        fmt::print("HLT   the guest is done\n");
        done = true;
        return true;
    }
};

vmm::Result<void> load(const vmm::GuestMemory& memory, kvm::Vcpu& vcpu) {
    KVM_TRY(memory.write(code_address, std::as_bytes(std::span(code))));
    vmm::x86_64::BootState start;
    start.rip = code_address.value();
    KVM_TRY(vmm::x86_64::apply(vcpu, start));
    kvm::Regs regs = KVM_TRY(vcpu.regs());
    regs.rax = 2;
    regs.rbx = 3;
    KVM_TRY(vcpu.set_regs(regs));
    return {};
}

/// Runs the guest to its end and returns what it printed.
vmm::Result<std::string> run(kvm::Vcpu& vcpu) {
    Printer printer;
    for (int i = 0; i < most_exits && !printer.done; ++i) {
        const kvm::Exit exit = KVM_TRY(vcpu.run());
        const bool known = exit.visit(kvm::handlers{
            [&](const kvm::exit::IoOut& e) { return printer(e); },
            [&](const kvm::exit::MmioWrite& e) { return printer(e); },
            [&](const kvm::exit::MmioRead& e) { return printer(e); },
            [&](const kvm::exit::Hlt& e) { return printer(e); },
            [&](const kvm::exit::Interrupted&) { return true; },
            [&](const auto&) { return false; },
        });
        if (!known) {
            return vmm::fail(fmt::format("hello: an exit that the guest gave no cause for: {}",
                                         kvm::name(exit.reason())));
        }
    }
    if (!printer.done) {
        return vmm::fail(fmt::format("hello: no end of the guest after {} exits", most_exits));
    }
    return printer.said;
}

vmm::Result<std::string> hello() {
    const kvm::Kvm kvm = KVM_TRY(kvm::Kvm::open());
    const kvm::Vm vm = KVM_TRY(kvm.create_vm());
    KVM_TRY(vm.set_tss_addr(kvm::Gpa(0xfffbd000)));
    const vmm::Region page{code_address, 0x1000};
    vmm::GuestMemory memory = KVM_TRY(vmm::GuestMemory::create(std::span(&page, 1)));
    KVM_TRY(memory.attach(vm));
    kvm::Vcpu vcpu = KVM_TRY(vm.create_vcpu(kvm::VcpuId(0)));
    KVM_TRY(load(memory, vcpu));
    return run(vcpu);
}

}  // namespace

void add_hello(CLI::App& app, int& status) {
    auto* verb = app.add_subcommand(
        "hello", "Run a guest of 23 bytes on this host's KVM and print each of its exits");
    verb->callback([&status] {
        const auto said = hello();
        if (!said) {
            fmt::print(stderr, "kvmxx: {}\n", said.error().message);
            status = status_error;
            return;
        }
        if (*said != "5\n!") {
            fmt::print(stderr, "kvmxx: hello: the guest printed something else than 5 and !\n");
            status = status_error;
        }
    });
}

}  // namespace kvmxx
