// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <array>
#include <cerrno>
#include <cstring>
#include <kvm/vcpu.hpp>
#include <optional>
#include <support/require.hpp>
#include <vmm/memory/guest_memory.hpp>
#include <vmm/result.hpp>
#include <vmm/x86_64/boot_state.hpp>
#include <vmm/x86_64/cpu.hpp>
#include <vmm/x86_64/layout.hpp>

/// Guest memory and boot states on a real KVM.
namespace vmm::test {
namespace {

using kvm::must;
using namespace kvm::literals;
namespace layout = x86_64::layout;

template <std::size_t N>
using Code = std::array<std::uint8_t, N>;

class Booted : public kvm::test::WithKvm {
protected:
    void SetUp() override {
        WithKvm::SetUp();
        if (IsSkipped()) {
            return;
        }
        vm.emplace(must(kvm().create_vm()));
        must(vm->set_tss_addr(layout::tss));
        must(vm->set_identity_map_addr(layout::identity_map));
        must(vm->create_irqchip());
    }

    /// The length of what the guest wrote to a port at once, and its value.
    template <class T>
    T next_out(kvm::Vcpu& vcpu, std::uint16_t port) {
        const auto exit = must(vcpu.run());
        T value{};
        bool out = false;
        exit.visit(kvm::handlers{[&](const kvm::exit::IoOut& io) {
                                     out = io.port == kvm::Port(port) &&
                                           io.data.size() == sizeof value;
                                     if (out) {
                                         std::memcpy(&value, io.data.data(), sizeof value);
                                     }
                                 },
                                 [](const auto&) {}});
        EXPECT_TRUE(out) << "exit " << static_cast<unsigned>(exit.reason());
        return value;
    }

    std::optional<kvm::Vm> vm;
    GuestMemory memory = test::must(GuestMemory::create(x86_64::ram_regions(4_MiB)));
};

TEST_F(Booted, RealModeStartsAtSegmentAndOffset) {
    // mov ax, cs; out 0x10, ax; mov ax, ds; out 0x10, ax; mov ax, sp; out 0x10, ax
    const Code<12> code{0x8c, 0xc8, 0xe7, 0x10, 0x8c, 0xd8, 0xe7, 0x10, 0x89, 0xe0, 0xe7, 0x10};
    test::must(memory.write(0x12350_gpa, std::as_bytes(std::span(code))));
    test::must(memory.attach(*vm));
    auto vcpu = must(vm->create_vcpu(kvm::VcpuId(0)));
    test::must(x86_64::apply(
        vcpu, {.mode = x86_64::CpuMode::real, .segment = 0x1234, .rip = 0x10, .rsp = 0x10}));
    EXPECT_EQ(next_out<std::uint16_t>(vcpu, 0x10), 0x1234);
    EXPECT_EQ(next_out<std::uint16_t>(vcpu, 0x10), 0x1234);
    EXPECT_EQ(next_out<std::uint16_t>(vcpu, 0x10), 0x10);
}

TEST_F(Booted, LongModeStartsWithMemoryMappedOneToOneAndInterruptsOff) {
    // mov eax, esi; out 0x10, eax; pushf; pop rax; out 0x10, eax; mov eax, [0x3ffff8]; out 0x10,
    // eax
    const Code<17> code{0x89, 0xf0, 0xe7, 0x10, 0x9c, 0x58, 0xe7, 0x10, 0x8b,
                        0x04, 0x25, 0xf8, 0xff, 0x3f, 0x00, 0xe7, 0x10};
    test::must(memory.write(0x100000_gpa, std::as_bytes(std::span(code))));
    test::must(memory.write(0x3ffff8_gpa, std::uint32_t(0x12345678)));
    x86_64::BootState state;
    test::must(x86_64::prepare(memory, x86_64::CpuMode::long_64, state));
    state.rip = 0x100000;
    state.rsp = layout::boot_stack.value();
    state.rsi = 0x7000;
    test::must(memory.attach(*vm));
    auto vcpu = must(vm->create_vcpu(kvm::VcpuId(0)));
    test::must(x86_64::setup_cpuid(kvm(), vcpu, kvm::VcpuId(0), 1));
    test::must(x86_64::apply(vcpu, state));
    EXPECT_EQ(next_out<std::uint32_t>(vcpu, 0x10), 0x7000u);
    EXPECT_EQ(next_out<std::uint32_t>(vcpu, 0x10) & 0x200, 0u) << "IF";
    EXPECT_EQ(next_out<std::uint32_t>(vcpu, 0x10), 0x12345678u);
    const auto xsave = must(vcpu.xsave());
    EXPECT_EQ(xsave.region[0] & 0xffff, 0x37fu) << "FCW";
    EXPECT_EQ(xsave.region[6], 0x1f80u) << "MXCSR";
}

TEST_F(Booted, VcpusHaveTheirApicIdTheirWiresAndTheirMsrs) {
    auto first = must(vm->create_vcpu(kvm::VcpuId(0)));
    auto second = must(vm->create_vcpu(kvm::VcpuId(1)));
    test::must(x86_64::setup_cpuid(kvm(), second, kvm::VcpuId(1), 2));
    test::must(x86_64::setup_msrs(second));
    test::must(x86_64::setup_lapic(second));
    bool signature = false;
    for (const auto& leaf : must(second.cpuid2())) {
        if (leaf.function == 1) {
            EXPECT_EQ(leaf.ebx >> 24, 1u);
            EXPECT_TRUE(leaf.ecx >> 31);
        }
        signature |= leaf.function == 0x40000000 && leaf.ebx == 0x4b4d564b;
    }
    EXPECT_TRUE(signature) << "KVM's";
    EXPECT_EQ(must(second.msr(0x1a0)) & 1, 1u) << "fast strings";
    EXPECT_EQ(must(second.msr(0x2ff)), 0x806u) << "write-back";
    const auto lapic = must(second.lapic());
    const auto lvt = [&](std::size_t at) {
        std::uint32_t entry = 0;
        std::memcpy(&entry, lapic.regs + at, sizeof entry);
        return entry & 0x10700;
    };
    EXPECT_EQ(lvt(0x350), 0x700u) << "LINT0: ExtINT, not masked";
    EXPECT_EQ(lvt(0x360), 0x400u) << "LINT1: NMI, not masked";
}

TEST_F(Booted, GuestMemoryIsTheGuestsAndBelongsToOneVm) {
    test::must(memory.attach(*vm));
    EXPECT_EQ(code(memory.attach(*vm)), EBUSY);
    const auto other = must(kvm().create_vm());
    EXPECT_EQ(message(memory.attach(other)), "guest memory: a VM has it already");
}

TEST_F(Booted, MemoryThatCannotBeAttachedNamesItsRegionAndLeavesNoSlots) {
    const std::array regions{Region{0x1000_gpa, 4_KiB}, Region{0x8000_gpa, 4_KiB}};
    auto two = test::must(GuestMemory::create(regions));
    auto third = test::must(GuestMemory::create(std::array{Region{0x20000_gpa, 4_KiB}}));
    must(vm->set_user_memory_region(
        {1, 0, 0x8000, 0x1000,
         reinterpret_cast<std::uintptr_t>(test::must(third.host_span(0x20000_gpa, 1)).data())}));
    // Slot 1 is taken by another region of the same size: the kernel will not move it to other
    // memory.
    const auto refused = two.attach(*vm);
    ASSERT_FALSE(refused);
    EXPECT_EQ(message(refused).substr(0, 48), "guest memory 0x8000..0x8fff: KVM_SET_USER_MEMORY");
    must(vm->set_user_memory_region({1, 0, 0x8000, 0, 0}));
    EXPECT_TRUE(two.attach(*vm)) << "slot 0 was given back, too";
}

TEST_F(Booted, MemoryThatGoesFirstTakesItsSlotsAlong) {
    // in al, 0x10; mov al, [0x2000]; out 0x10, al
    const Code<7> code{0xe4, 0x10, 0xa0, 0x00, 0x20, 0xe6, 0x10};
    auto low = test::must(GuestMemory::create(std::array{Region{0x1000_gpa, 8_KiB}}));
    test::must(low.write(0x1000_gpa, std::as_bytes(std::span(code))));
    test::must(low.attach(*vm));
    auto vcpu = must(vm->create_vcpu(kvm::VcpuId(0)));
    test::must(x86_64::apply(vcpu, {.mode = x86_64::CpuMode::real, .rip = 0x1000}));
    (void)must(vcpu.run());
    low = test::must(GuestMemory::create(std::array{Region{0x1000_gpa, 4_KiB}}));
    test::must(low.write(0x1000_gpa, std::as_bytes(std::span(code))));
    test::must(low.attach(*vm));
    // The VM goes on with the new memory, in which 0x2000 is none.
    const auto exit = must(vcpu.run());
    bool mmio = false;
    exit.visit(
        kvm::handlers{[&](const kvm::exit::MmioRead& read) { mmio = read.address == 0x2000_gpa; },
                      [](const auto&) {}});
    EXPECT_TRUE(mmio) << "exit " << static_cast<unsigned>(exit.reason());
}

TEST_F(Booted, MemoryOutlivesTheVmObjectItWasAttachedTo) {
    test::must(memory.attach(*vm));
    vm.reset();
    test::must(memory.write(0_gpa, std::uint8_t(1)));
    EXPECT_EQ(test::must(memory.read<std::uint8_t>(0_gpa)), 1);
}

}  // namespace
}  // namespace vmm::test
