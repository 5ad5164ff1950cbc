// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vmm/boot/boot.hpp>
#include <vmm/result.hpp>
#include <vmm/x86_64/layout.hpp>

/// Images made up for the loaders' tests: sound at first, so that a test can spoil one thing.
namespace vmm::test {

/// A file's content, to be changed at offsets.
class Bytes {
public:
    explicit Bytes(std::size_t size = 0, char fill = 0) : bytes_(size, fill) {}
    Bytes(std::string bytes) : bytes_(std::move(bytes)) {}

    template <class T>
    Bytes& put(std::size_t offset, T value) {
        std::memcpy(bytes_.data() + offset, &value, sizeof value);
        return *this;
    }
    Bytes& put(std::size_t offset, const char* text) {
        bytes_.replace(offset, std::strlen(text), text);
        return *this;
    }
    Bytes& resize(std::size_t size) {
        bytes_.resize(size);
        return *this;
    }
    const std::string& text() const { return bytes_; }

private:
    std::string bytes_;
};

/// A directory that goes with its content at the end of the test.
class Directory {
public:
    Directory();
    ~Directory();
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    const std::string& path() const { return path_; }
    /// Makes the file and gives its path.
    std::string file(const std::string& name, const Bytes& content) const;

private:
    std::string path_;
};

/// A bzImage of protocol 2.15: 4 sectors of setup, 4 KiB of code that are 0xcc, made to run at 2
/// MiB.
Bytes bzimage();
inline constexpr std::uint64_t bzimage_address = 0x200000;
inline constexpr std::size_t bzimage_code = 5 * 512;
inline constexpr std::size_t bzimage_code_size = 4096;
inline constexpr std::uint32_t bzimage_init_size = 0x10000;

/// An ELF64 executable for x86_64: one segment of 256 bytes that are 0xcc, with 3840 of BSS behind
/// it, at 16 MiB.
Bytes elf64();
inline constexpr std::uint64_t elf64_address = 0x1000000;
inline constexpr std::size_t elf64_headers = sizeof(Elf64_Ehdr);
inline constexpr std::size_t elf64_code = 0x100;
inline constexpr std::size_t elf64_filesz = 0x100;
inline constexpr std::size_t elf64_memsz = 0x1000;

/// The same of 32 bits, at 1 MiB.
Bytes elf32();
inline constexpr std::uint64_t elf32_address = 0x100000;

/// `elf` with one note more, in a segment of its own. There is room for two.
Bytes with_note(Bytes elf, const std::string& name, std::uint32_t type, std::string content);
/// The bytes of a number, as a note has it.
std::string word(std::uint32_t value);

inline constexpr std::uint32_t pvh_note = 18;  // XEN_ELFNOTE_PHYS32_ENTRY, of "Xen"

/// One of a program header's fields: its offset in elf64().
#define KVMXX_PHDR(field) (elf64_headers + offsetof(Elf64_Phdr, field))
#define KVMXX_EHDR(field) offsetof(Elf64_Ehdr, field)

/// A guest's RAM, and files to be loaded into it.
class BootTest : public ::testing::Test {
protected:
    static constexpr std::uint64_t ram = 64 << 20;

    GuestMemory memory = must(GuestMemory::create(x86_64::ram_regions(ram)));
    Directory directory;

    /// Loads a kernel of this content.
    Result<x86_64::BootState> load_kernel(const Bytes& content, BootConfig config = {},
                                          const BootInputs& inputs = {}) {
        config.kernel = directory.file("kernel", content);
        return load(memory, config, inputs);
    }
    /// What its Error says after "kernel: ".
    std::string refusal(const Bytes& content, BootConfig config = {});

    template <class T>
    T read(std::uint64_t address) {
        return must(memory.read<T>(kvm::Gpa(address)));
    }
    /// The text at `address`, up to its NUL.
    std::string text(std::uint64_t address) {
        std::string found;
        while (const char c = read<char>(address++)) {
            found += c;
        }
        return found;
    }
    template <class T>
    T zero_page(std::size_t offset) {
        return read<T>(x86_64::layout::zero_page.value() + offset);
    }
};

}  // namespace vmm::test
