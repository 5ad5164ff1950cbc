// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <vmm/boot_files.hpp>

namespace vmm::test {
namespace {

using Image = BootTest;
using ::vmm::ImageKind;

TEST_F(Image, ThatIsMissingIsNamed) {
    const std::string path = directory.path() + "/none";
    EXPECT_EQ(message(load(memory, {.kernel = path})), path + ": No such file or directory");
}

TEST_F(Image, ThatHasNoNameIsNotFound) { EXPECT_EQ(code(load(memory, {})), ENOENT); }

TEST_F(Image, MayNotBeADirectory) {
    const auto opened = ::vmm::Image::open(directory.path());
    EXPECT_EQ(message(opened), directory.path() + ": Is a directory");
    EXPECT_EQ(code(opened), EISDIR);
}

TEST_F(Image, MayNotBeADeviceOrAPipeAndIsNotWaitedFor) {
    EXPECT_EQ(message(::vmm::Image::open("/dev/zero")), "/dev/zero: not a regular file");
    const std::string fifo = directory.path() + "/fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_EQ(message(::vmm::Image::open(fifo)), fifo + ": not a regular file");
}

TEST_F(Image, MayNotBeEmpty) { EXPECT_EQ(refusal(Bytes()), "the file is empty"); }

TEST_F(Image, IsKnownByItsContent) {
    const auto kind_of = [&](const Bytes& content) {
        return must(::vmm::Image::open(directory.file("image", content))).kind();
    };
    const auto starting = [](std::string_view bytes) {
        return Bytes(std::string(bytes) + std::string(0x400, '\0'));
    };
    using namespace std::literals;
    EXPECT_EQ(kind_of(bzimage()), ImageKind::bzimage);
    EXPECT_EQ(kind_of(bzimage().put(0, "MZ")), ImageKind::bzimage);
    EXPECT_EQ(kind_of(elf64()), ImageKind::elf64);
    EXPECT_EQ(kind_of(elf64().put(EI_CLASS, std::uint8_t(ELFCLASS32))), ImageKind::elf32);
    EXPECT_EQ(kind_of(starting("MZ").put(0x38, "ARM\x64")), ImageKind::arm64_image);
    EXPECT_EQ(kind_of(starting("").put(0x38, "RSC\x05")), ImageKind::riscv_image);
    EXPECT_EQ(kind_of(starting("MZ\0\0zimg"sv)), ImageKind::efi_zboot);
    EXPECT_EQ(kind_of(starting("MZ")), ImageKind::efi);
    EXPECT_EQ(kind_of(Bytes("MZ"s)), ImageKind::efi);
    EXPECT_EQ(kind_of(starting("\x1f\x8b\x08")), ImageKind::gzip);
    EXPECT_EQ(kind_of(starting("\xfd"
                               "7zXZ")),
              ImageKind::xz);
    EXPECT_EQ(kind_of(starting("\x28\xb5\x2f\xfd")), ImageKind::zstd);
    EXPECT_EQ(kind_of(starting("070701")), ImageKind::cpio);
    EXPECT_EQ(kind_of(Bytes("#!/bin/sh\n"s)), ImageKind::unknown);
    EXPECT_EQ(kind_of(Bytes("x"s)), ImageKind::unknown);
}

TEST_F(Image, ThatIsNoKernelForThisMachineIsCalledWhatItIs) {
    using namespace std::literals;
    const std::string not_ours = ", not an x86 kernel (bzImage, ELF or Multiboot)";
    EXPECT_EQ(refusal(Bytes(0x400).put(0x38, "ARM\x64")), "an arm64 Linux Image" + not_ours);
    EXPECT_EQ(refusal(Bytes("070701"s)), "a cpio archive (an initrd?)" + not_ours);
    EXPECT_EQ(refusal(Bytes("MZ"s)),
              "an EFI or DOS program without Linux's boot header" + not_ours);
    EXPECT_EQ(refusal(Bytes("hello"s)), "of no known kind" + not_ours);
}

TEST_F(Image, ThatShrinksAfterItWasOpenedIsAnError) {
    const std::string path = directory.file("image", Bytes(0x3000, 'x'));
    const auto image = must(::vmm::Image::open(path));
    std::filesystem::resize_file(path, 0x1000);
    for (const RamContent content : {RamContent::any, RamContent::zeroes}) {
        EXPECT_EQ(message(image.load(memory, kvm::Gpa(0x100000), 0, 0x3000, "code", content)),
                  path + ": the file shrank while its code was read");
    }
}

TEST_F(Image, HasItsZeroesLeftOutOfMemoryThatHoldsZeroes) {
    const std::string path =
        directory.file("image", Bytes(0x3000).put(8, "begin").put(0x2000, "end"));
    const auto open = [&] { return kvm::Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); };
    // Beside it, what cannot be: a file that somebody has damaged.
    const auto image = must(::vmm::Image::adopt(
        "image", open(), 0x3000,
        {{0, 0x10}, {0x2000, 0x2008}, {0x1000, 0x800}, {~0ull - 8, ~0ull}, {0x2ff0, ~0ull}}));
    const auto load = [&](RamContent content) {
        // No zeroes, so that it shows.
        must(memory.fill(kvm::Gpa(0x100000), 0x4000, std::byte(0xaa)));
        must(image.load(memory, kvm::Gpa(0x100000), 8, 0x2ff8, "data", content));
        EXPECT_EQ(text(0x100000), "begin");
        EXPECT_EQ(text(0x101ff8), "end");
        EXPECT_EQ(read<std::uint8_t>(0x100000 + 0x2ff8), 0xaa) << "the end";
        return read<std::uint8_t>(0x101000);
    };
    EXPECT_EQ(load(RamContent::zeroes), 0xaa);
    EXPECT_EQ(load(RamContent::any), 0);
    EXPECT_EQ(
        message(image.load(memory, kvm::Gpa(0x100000), 9, 0x2ff8, "data", RamContent::zeroes)),
        "image: truncated: data: 12280 bytes from 0x9, but the file has 12288");
}

TEST_F(Image, IsReadWithinItsBoundsOnly) {
    const std::string path = directory.file("image", Bytes(16, 'x'));
    const auto image = must(::vmm::Image::open(path));
    std::array<std::byte, 8> to;
    EXPECT_TRUE(image.read(8, to, "tail"));
    EXPECT_EQ(message(image.read(9, to, "tail")),
              path + ": truncated: tail: 8 bytes from 0x9, but the file has 16");
    EXPECT_EQ(code(image.read(~0ull, to, "tail")), EINVAL);
    EXPECT_EQ(code(image.read(~0ull - 7, to, "tail")), EINVAL);
    EXPECT_EQ(code(image.load(memory, kvm::Gpa(ram - 8), 0, 16, "it")), EFAULT);
}

}  // namespace
}  // namespace vmm::test
