// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <kvm/fd.hpp>
#include <kvm/types.hpp>
#include <span>
#include <string>
#include <vector>
#include <vmm/error.hpp>

namespace vmm {

class GuestMemory;

/// What a file is, by its first bytes. Whether it is sound is for its loader to say.
enum class ImageKind {
    bzimage,      ///< Linux for x86, with its setup header and decompressor
    elf64,        ///< ELF of 64 bits, such as Linux's vmlinux, for whatever machine
    elf32,        ///< ELF of 32 bits
    arm64_image,  ///< Linux for arm64
    riscv_image,  ///< Linux for riscv64
    efi_zboot,    ///< a compressed Linux for other machines that unpacks itself under EFI
    efi,          ///< another EFI program
    uimage,       ///< U-Boot's
    gzip,
    bzip2,
    lzma,
    xz,
    lzop,
    lz4,
    zstd,
    cpio,   ///< an initrd, uncompressed
    qcow2,  ///< a disk
    unknown,
};

/// "a Linux bzImage", "an arm64 Linux Image", "compressed data (gzip)", ...
const char* describe(ImageKind kind);

/// What a file is that begins with `head`, of 0x210 bytes if there are so many.
ImageKind recognise(std::span<const std::byte> head);
/// Whether it is compressed data.
bool is_compressed(ImageKind kind);

/// Bytes of a file, without `end`.
struct DataRange {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

/// What guest memory holds before something is loaded there.
enum class RamContent : std::uint8_t {
    any,
    zeroes,  ///< as the host makes it
};

/// A file to be loaded into guest memory. It is read, not mapped: a file that shrinks meanwhile is
/// an Error, not a SIGBUS. Every Error names the file.
class Image {
public:
    /// Opens a file and looks at its head. Errors: what open(2) says; EISDIR; EINVAL (not a regular
    /// file, or empty).
    static Result<Image> open(std::string path);

    /// A file that is open, and that nobody else changes. `path` is for messages; what is not in
    /// `data` are zeroes. Errors: see read().
    static Result<Image> adopt(std::string path, kvm::Fd fd, std::uint64_t size,
                               std::vector<DataRange> data);

    const std::string& path() const { return path_; }
    /// In bytes, at least 1.
    std::uint64_t size() const { return size_; }
    ImageKind kind() const { return kind_; }
    /// Borrowed.
    kvm::FdRef fd() const { return fd_; }

    /// Fills `to` from the file's byte `offset` on. Errors: EINVAL (`what`, which the message
    /// names, ends beyond the file), or what read(2) says.
    Result<void> read(std::uint64_t offset, std::span<std::byte> to, const char* what) const;
    /// Copies `length` bytes from the file's byte `offset` on to guest memory at `address`, which
    /// holds `ram`: zeroes are not written to zeroes where they are known. Errors: see read();
    /// EFAULT (not all in one region of RAM).
    Result<void> load(const GuestMemory& memory, kvm::Gpa address, std::uint64_t offset,
                      std::uint64_t length, const char* what,
                      RamContent ram = RamContent::any) const;

private:
    Image(std::string path, kvm::Fd fd, std::uint64_t size, std::vector<DataRange> data)
        : path_(std::move(path)), fd_(std::move(fd)), size_(size), data_(std::move(data)) {}

    std::string path_;
    kvm::Fd fd_;
    std::uint64_t size_;  // as it was when the file was opened
    std::vector<DataRange> data_{};
    ImageKind kind_ = ImageKind::unknown;
};

}  // namespace vmm
