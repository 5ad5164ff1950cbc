// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cstring>
#include <kvm/vcpu.hpp>
#include <optional>
#include <string>
#include <support/require.hpp>
#include <vmm/boot_files.hpp>
#include <vmm/x86_64/cpu.hpp>

/// Kernels of a few instructions, loaded from files by each protocol and run on a real KVM: they
/// say on port 0x10 what they find.
namespace vmm::test {
namespace {

using kvm::must;
using namespace std::literals;

class Protocols : public kvm::test::WithKvm {
protected:
    /// What the kernel in `image` writes to port 0x10, `count` words of 32 bits.
    std::vector<std::uint32_t> words(const Bytes& image, BootConfig config, std::size_t count) {
        config.kernel = directory.file("kernel", image);
        auto vm = must(kvm().create_vm());
        must(vm.set_tss_addr(x86_64::layout::tss));
        must(vm.set_identity_map_addr(x86_64::layout::identity_map));
        must(vm.create_irqchip());
        auto memory = test::must(GuestMemory::create(x86_64::ram_regions(4 << 20)));
        const auto state = test::must(load(memory, config));
        test::must(memory.attach(vm));
        auto vcpu = must(vm.create_vcpu(kvm::VcpuId(0)));
        test::must(x86_64::setup_cpuid(kvm(), vcpu, kvm::VcpuId(0), 1));
        test::must(x86_64::apply(vcpu, state));
        std::vector<std::uint32_t> found;
        while (found.size() < count) {
            const auto exit = must(vcpu.run());
            const std::size_t before = found.size();
            exit.visit(kvm::handlers{[&](const kvm::exit::IoOut& io) {
                                         std::uint32_t word = 0;
                                         if (io.port == kvm::Port(0x10) && io.data.size() == 4) {
                                             std::memcpy(&word, io.data.data(), 4);
                                             found.push_back(word);
                                         }
                                     },
                                     [](const auto&) {}});
            if (found.size() == before) {
                ADD_FAILURE() << "exit " << static_cast<unsigned>(exit.reason());
                break;
            }
        }
        return found;
    }

    Directory directory;
};

/// `image` with code, in place of the 0xcc from `offset` on.
Bytes with_code(Bytes image, std::size_t offset, std::string_view code) {
    for (std::size_t i = 0; i < code.size(); ++i) {
        image.put(offset + i, code[i]);
    }
    return image;
}

TEST_F(Protocols, MultibootKernelFindsItsMagicAndItsCommandLine) {
    // out 0x10, eax; mov eax, [ebx]; out 0x10, eax; mov eax, [ebx+16]; mov eax, [eax]; out 0x10,
    // eax; mov eax, cr0; out 0x10, eax
    constexpr auto code =
        "\xe7\x10\x8b\x03\xe7\x10\x8b\x43\x10\x8b\x00\xe7\x10\x0f\x20\xc0\xe7\x10"sv;
    const std::uint32_t magic = 0x1badb002;
    Bytes image = elf32().put(0x180, magic).put(0x184, 0).put(0x188, 0 - magic);
    const auto found = words(with_code(image, elf64_code, code), {}, 4);
    ASSERT_EQ(found.size(), 4u);
    EXPECT_EQ(found[0], 0x2badb002u);
    EXPECT_EQ(found[1], 0x24du) << "flags: memory, command line, modules, map, name";
    std::uint32_t path = 0;
    std::memcpy(&path, directory.path().data(), 4);
    EXPECT_EQ(found[2], path) << "the file's name";
    EXPECT_EQ(found[3] & 0x80000001u, 1u) << "CR0: protected mode, no paging";
}

TEST_F(Protocols, PvhKernelFindsItsStartInfo) {
    // mov eax, [ebx]; out 0x10, eax; mov eax, [ebx+4]; out 0x10, eax; mov eax, [ebx+24];
    // mov eax, [eax]; out 0x10, eax; str ax; movzx eax, ax; out 0x10, eax
    constexpr auto code =
        "\x8b\x03\xe7\x10\x8b\x43\x04\xe7\x10\x8b\x43\x18\x8b\x00\xe7\x10\x66\x0f\x00\xc8\x0f\xb7\xc0\xe7\x10"sv;
    const Bytes image = with_code(elf32(), elf64_code + 0x20, code);
    const auto found = words(with_note(image, "Xen", pvh_note, word(elf32_address + 0x20)),
                             {.cmdline = "abcd"}, 4);
    ASSERT_EQ(found.size(), 4u);
    EXPECT_EQ(found[0], 0x336ec578u) << "magic";
    EXPECT_EQ(found[1], 1u) << "version";
    EXPECT_EQ(found[2], 0x64636261u) << "abcd";
    EXPECT_EQ(found[3], 0x20u) << "TR";
}

TEST_F(Protocols, LinuxOf32BitsFindsItsZeroPageAndSegments) {
    // mov eax, [esi+0x202]; out 0x10, eax; mov ax, cs; movzx eax, ax; out 0x10, eax; mov eax, ds;
    // movzx eax, ax; out 0x10, eax
    constexpr auto code =
        "\x8b\x86\x02\x02\x00\x00\xe7\x10\x66\x8c\xc8\x0f\xb7\xc0\xe7\x10\x8c\xd8\x0f\xb7\xc0\xe7\x10"sv;
    const Bytes image = with_code(bzimage().put(0x236, std::uint16_t(0)), bzimage_code, code);
    EXPECT_EQ(words(image, {}, 3), (std::vector<std::uint32_t>{0x53726448, 0x10, 0x18}));
}

TEST_F(Protocols, LinuxOf64BitsFindsItsZeroPage) {
    // mov eax, [rsi+0x202]; out 0x10, eax; mov eax, cs; out 0x10, eax
    constexpr auto code = "\x8b\x86\x02\x02\x00\x00\xe7\x10\x8c\xc8\xe7\x10"sv;
    const Bytes image = with_code(bzimage(), bzimage_code + 0x200, code);
    EXPECT_EQ(words(image, {}, 2), (std::vector<std::uint32_t>{0x53726448, 0x10}));
}

}  // namespace
}  // namespace vmm::test
