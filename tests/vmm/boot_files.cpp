// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/boot_files.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace vmm::test {

Directory::Directory() {
    std::string path = (std::filesystem::temp_directory_path() / "kvmxx-test-XXXXXX").string();
    if (!mkdtemp(path.data())) {
        throw std::runtime_error("mkdtemp " + path);
    }
    path_ = path;
}

Directory::~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string Directory::file(const std::string& name, const Bytes& content) const {
    const std::string path = path_ + "/" + name;
    // Some file systems wait for the disk when a file is overwritten.
    std::filesystem::remove(path);
    std::ofstream stream(path, std::ios::binary);
    stream << content.text();
    stream.close();
    if (!stream) {
        throw std::runtime_error("cannot write " + path);
    }
    return path;
}

Bytes bzimage() {
    Bytes image(bzimage_code + bzimage_code_size, '\xcc');
    std::memset(const_cast<char*>(image.text().data()), 0, bzimage_code);
    image.put(0x1f1, std::uint8_t(4));                        // setup_sects
    image.put(0x1f4, std::uint32_t(bzimage_code_size / 16));  // syssize
    image.put(0x1fe, std::uint16_t(0xaa55));                  // boot_flag
    image.put(0x200, std::uint16_t(0x6aeb));                  // jump: the header ends at 0x26c
    image.put(0x202, "HdrS");                                 // header
    image.put(0x206, std::uint16_t(0x020f));                  // version
    image.put(0x211, std::uint8_t(1));                        // loadflags
    image.put(0x22c, std::uint32_t(0x7fffffff));              // initrd_addr_max
    image.put(0x230, std::uint32_t(0x200000));                // kernel_alignment
    image.put(0x234, std::uint8_t(1));                        // relocatable_kernel
    image.put(0x236, std::uint16_t(1));                       // xloadflags: XLF_KERNEL_64
    image.put(0x238, std::uint32_t(2047));                    // cmdline_size
    image.put(0x258, bzimage_address);                        // pref_address
    image.put(0x260, bzimage_init_size);                      // init_size
    return image;
}

Bytes elf64() {
    Bytes image(elf64_code + elf64_filesz, '\xcc');
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_version = EV_CURRENT;
    header.e_entry = elf64_address;
    header.e_phoff = elf64_headers;
    header.e_ehsize = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 1;
    Elf64_Phdr segment{};
    segment.p_type = PT_LOAD;
    segment.p_flags = PF_R | PF_X;
    segment.p_offset = elf64_code;
    segment.p_vaddr = 0xffffffff81000000;
    segment.p_paddr = elf64_address;
    segment.p_filesz = elf64_filesz;
    segment.p_memsz = elf64_memsz;
    return image.put(0, header).put(elf64_headers, segment);
}

Bytes elf32() {
    Bytes image(elf64_code + elf64_filesz, '\xcc');
    std::memset(const_cast<char*>(image.text().data()), 0, elf64_code);
    Elf32_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS32;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_EXEC;
    header.e_machine = EM_386;
    header.e_entry = elf32_address;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(Elf32_Phdr);
    header.e_phnum = 1;
    Elf32_Phdr segment{};
    segment.p_type = PT_LOAD;
    segment.p_offset = elf64_code;
    segment.p_vaddr = segment.p_paddr = elf32_address;
    segment.p_filesz = elf64_filesz;
    segment.p_memsz = elf64_memsz;
    return image.put(0, header).put(sizeof header, segment);
}

Bytes with_note(Bytes elf, const std::string& name, std::uint32_t type, std::string content) {
    const auto at = elf.text().size();
    const Elf64_Nhdr note{static_cast<std::uint32_t>(name.size() + 1),
                          static_cast<std::uint32_t>(content.size()), type};
    const std::size_t padded = (name.size() + 1 + 3) / 4 * 4;
    content.resize((content.size() + 3) / 4 * 4);
    elf.resize(at + sizeof note + padded + content.size());
    elf.put(at, note).put(at + sizeof note, name.c_str());
    for (std::size_t i = 0; i < content.size(); ++i) {
        elf.put(at + sizeof note + padded + i, content[i]);
    }
    const auto add = [&]<class Ehdr, class Phdr>(Ehdr header, Phdr segment) {
        std::memcpy(&header, elf.text().data(), sizeof header);
        segment.p_type = PT_NOTE;
        segment.p_offset = static_cast<decltype(segment.p_offset)>(at);
        segment.p_filesz = static_cast<decltype(segment.p_filesz)>(elf.text().size() - at);
        elf.put(header.e_phoff + header.e_phnum * sizeof segment, segment);
        ++header.e_phnum;
        elf.put(0, header);
    };
    if (elf.text()[EI_CLASS] == ELFCLASS64) {
        add(Elf64_Ehdr{}, Elf64_Phdr{});
    } else {
        add(Elf32_Ehdr{}, Elf32_Phdr{});
    }
    return elf;
}

std::string word(std::uint32_t value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string BootTest::refusal(const Bytes& content, BootConfig config) {
    const std::string text = message(load_kernel(content, std::move(config)));
    const std::string prefix = directory.path() + "/kernel: ";
    EXPECT_EQ(text.find('\n'), std::string::npos);
    return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

}  // namespace vmm::test
