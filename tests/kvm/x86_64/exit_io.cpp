// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <support/guest.hpp>

KVMXX_GUEST(out)
KVMXX_GUEST(in)
KVMXX_GUEST(string_io)
KVMXX_GUEST_LABEL(string_io, outsb)
KVMXX_GUEST_LABEL(string_io, outsw)
KVMXX_GUEST_LABEL(string_io, insb)
KVMXX_GUEST_LABEL(string_io, insl)

namespace kvm::test {
namespace {

class ExitIo : public WithKvm {};

void fill(std::span<std::byte> data, u64 value) {
    std::memcpy(data.data(), &value, std::min(data.size(), sizeof value));
}

TEST_F(ExitIo, WritesOfEachSizeHaveTheirPortSizeAndBytes) {
    Guest guest(kvm());
    guest.load_long(guests::out());
    struct {
        Port port;
        u8 size;
        u64 value;
    } const expected[] = {
        {Port(0x10), 1, 0x11}, {Port(0x12), 2, 0x2211}, {Port(0x14), 4, 0x44332211}};
    for (const auto& write : expected) {
        const auto out = guest.run_to<exit::IoOut>();
        EXPECT_EQ(out.port, write.port);
        EXPECT_EQ(out.size, write.size);
        EXPECT_EQ(out.count, 1u);
        EXPECT_EQ(out.data.size(), write.size);
        EXPECT_EQ(number_of(out.data), write.value);
    }
    guest.run_to<exit::Hlt>();
}

TEST_F(ExitIo, RepliesOfEachSizeReachTheGuest) {
    Guest guest(kvm());
    guest.load_long(guests::in());
    for (const u8 size : {u8(1), u8(2), u8(4)}) {
        const auto in = guest.run_to<exit::IoIn>();
        EXPECT_EQ(in.port, Port(size == 4 ? 0x14 : 0x0e + 2 * size));
        EXPECT_EQ(in.size, size);
        EXPECT_EQ(in.count, 1u);
        ASSERT_EQ(in.data.size(), size);
        fill(in.data, 0xa1b2c3d4);
    }
    guest.run_to<exit::Hlt>();
    const Regs regs = guest.regs();
    EXPECT_EQ(regs.rbx, 0xffff'ffff'ffff'ffd4u);
    EXPECT_EQ(regs.rcx, 0xffff'ffff'ffff'c3d4u);
    EXPECT_EQ(regs.rdx, 0xa1b2'c3d4u) << "in eax clears the upper half of rax";
}

TEST_F(ExitIo, RegistersCanBeReadWhileAnAnswerIsDue) {
    Guest guest(kvm());
    guest.load_long(guests::in());
    const auto in = guest.run_to<exit::IoIn>();
    EXPECT_EQ(guest.regs().rax, ~u64(0));
    fill(in.data, 7);
    guest.run_to<exit::IoIn>();
    EXPECT_EQ(guest.regs().rbx, 0xffff'ffff'ffff'ff07u);
}

/// A guest about to do `entry`'s string I/O `times` times at layout::data.
void prepare_string(Guest& guest, std::size_t entry, u64 times) {
    guest.load_long(guests::string_io());
    guest.change_regs([&](Regs& regs) {
        regs.rip += entry;
        regs.rsi = regs.rdi = layout::data;
        regs.rcx = times;
    });
}

/// All that a guest writes until it halts; each exit's count times its size is its data's length.
std::string output(Guest& guest, u8 size) {
    std::string text;
    for (Exit exit = guest.run(); exit.reason() != ExitReason::hlt; exit = guest.run()) {
        const auto out = guest.payload<exit::IoOut>(exit);
        EXPECT_EQ(out.size, size);
        EXPECT_EQ(out.data.size(), std::size_t(out.size) * out.count);
        text += bytes_of(out.data);
    }
    return text;
}

TEST_F(ExitIo, AStringOfBytesIsWrittenWhole) {
    Guest guest(kvm());
    prepare_string(guest, guests::string_io_outsb(), 5);
    const std::string text = "hello";
    guest.write(layout::data, std::as_bytes(std::span(text)));
    EXPECT_EQ(output(guest, 1), text);
    EXPECT_EQ(guest.regs().rcx, 0u);
}

TEST_F(ExitIo, AStringOfWordsIsWrittenWhole) {
    Guest guest(kvm());
    prepare_string(guest, guests::string_io_outsw(), 3);
    const std::string text = "wordsx";
    guest.write(layout::data, std::as_bytes(std::span(text)));
    EXPECT_EQ(output(guest, 2), text);
}

TEST_F(ExitIo, AStringOfMoreThanAPageIsWrittenWhole) {
    Guest guest(kvm());
    prepare_string(guest, guests::string_io_outsb(), 5000);
    std::string text;
    for (int i = 0; i < 5000; ++i) {
        text += char('a' + i % 26);
    }
    guest.write(layout::data, std::as_bytes(std::span(text)));
    EXPECT_EQ(output(guest, 1), text);
}

TEST_F(ExitIo, AStringOfFourBytesIsReadAsBytesNotAsOneOfFour) {
    Guest guest(kvm());
    prepare_string(guest, guests::string_io_insb(), 4);
    u64 read = 0;
    for (Exit exit = guest.run(); exit.reason() != ExitReason::hlt; exit = guest.run()) {
        const auto in = guest.payload<exit::IoIn>(exit);
        EXPECT_EQ(in.size, 1);
        EXPECT_EQ(in.data.size(), in.count);
        for (std::byte& byte : in.data) {
            byte = std::byte('A' + read++);
        }
    }
    EXPECT_EQ(read, 4u);
    EXPECT_EQ(guest.read<u32>(layout::data), 0x44434241u);
}

TEST_F(ExitIo, OneOfFourBytesIsReadAsThat) {
    Guest guest(kvm());
    prepare_string(guest, guests::string_io_insl(), 0);
    const auto in = guest.run_to<exit::IoIn>();
    EXPECT_EQ(in.size, 4);
    EXPECT_EQ(in.count, 1u);
    fill(in.data, 0x4443'4241);
    guest.run_to<exit::Hlt>();
    EXPECT_EQ(guest.read<u32>(layout::data), 0x44434241u);
}

}  // namespace
}  // namespace kvm::test
