// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
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
    EXPECT_EQ(message(image.load(memory, kvm::Gpa(0x100000), 0, 0x3000, "code")),
              path + ": the file shrank while its code was read");
}

TEST_F(Image, HasHolesThatAreZeroesWhateverMemoryWas) {
    const std::string path = directory.file("image", Bytes(16, 'x'));
    {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(0x200000);
        file << "middle";
    }
    std::filesystem::resize_file(path, 0x300001);
    const auto image = must(::vmm::Image::open(path));
    for (const kvm::Gpa address : {kvm::Gpa(0x100000), kvm::Gpa(0x100123)}) {
        must(memory.fill(address, 0x300002, std::byte(0xaa)));
        must(image.load(memory, address, 8, 0x300001 - 8, "data"));
        std::vector<std::byte> loaded(0x300002);
        must(memory.read(address, loaded));
        std::string expected(0x300001 - 8, '\0');
        expected.replace(0, 8, 8, 'x').replace(0x200000 - 8, 6, "middle");
        expected.append(9, '\xaa');
        EXPECT_EQ(std::memcmp(loaded.data(), expected.data(), loaded.size()), 0);
    }
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
