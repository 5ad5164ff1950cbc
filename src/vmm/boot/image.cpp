// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <kvm/try.hpp>
#include <string_view>
#include <vmm/boot/image.hpp>
#include <vmm/memory/guest_memory.hpp>

namespace vmm {

namespace {

using namespace std::literals;

/// Bytes that tell a kind. The first that matches counts.
struct Magic {
    std::size_t offset;
    std::string_view bytes;
    ImageKind kind;
};

constexpr Magic magics[] = {
    {0,
     "\x7f"
     "ELF\x02"sv,
     ImageKind::elf64},
    {0,
     "\x7f"
     "ELF\x01"sv,
     ImageKind::elf32},
    {0x202, "HdrS"sv, ImageKind::bzimage},
    {0x38, "ARM\x64"sv, ImageKind::arm64_image},
    {0x38, "RSC\x05"sv, ImageKind::riscv_image},
    {0, "MZ\0\0zimg"sv, ImageKind::efi_zboot},
    {0, "MZ"sv, ImageKind::efi},
    {0, "\x27\x05\x19\x56"sv, ImageKind::uimage},
    {0, "\x1f\x8b"sv, ImageKind::gzip},
    {0, "BZh"sv, ImageKind::bzip2},
    {0, "\x5d\0\0"sv, ImageKind::lzma},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     ImageKind::xz},
    {0, "\x89LZO"sv, ImageKind::lzop},
    {0, "\x02\x21\x4c\x18"sv, ImageKind::lz4},  // the legacy format, which kernels use
    {0, "\x04\x22\x4d\x18"sv, ImageKind::lz4},
    {0, "\x28\xb5\x2f\xfd"sv, ImageKind::zstd},
    {0, "070701"sv, ImageKind::cpio},
    {0, "070702"sv, ImageKind::cpio},
    {0, "QFI\xfb"sv, ImageKind::qcow2},
};

/// pread(2) until `to` is full, the file ends (a short count) or it fails (-errno).
ssize_t read_fully(int fd, std::span<std::byte> to, std::uint64_t offset) {
    std::size_t done = 0;
    while (done < to.size()) {
        const ssize_t n =
            ::pread(fd, to.data() + done, to.size() - done, static_cast<off_t>(offset + done));
        if (n == 0) {
            break;
        }
        if (n > 0) {
            done += static_cast<std::size_t>(n);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return static_cast<ssize_t>(done);
}

}  // namespace

ImageKind recognise(std::span<const std::byte> head) {
    const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
    for (const Magic& magic : magics) {
        if (text.size() >= magic.offset && text.substr(magic.offset).starts_with(magic.bytes)) {
            return magic.kind;
        }
    }
    return ImageKind::unknown;
}

bool is_compressed(ImageKind kind) {
    switch (kind) {
        case ImageKind::gzip:
        case ImageKind::bzip2:
        case ImageKind::lzma:
        case ImageKind::xz:
        case ImageKind::lzop:
        case ImageKind::lz4:
        case ImageKind::zstd:
            return true;
        default:
            return false;
    }
}

const char* describe(ImageKind kind) {
    switch (kind) {
        case ImageKind::bzimage:
            return "a Linux bzImage";
        case ImageKind::elf64:
            return "an ELF64 file";
        case ImageKind::elf32:
            return "an ELF32 file";
        case ImageKind::arm64_image:
            return "an arm64 Linux Image";
        case ImageKind::riscv_image:
            return "a RISC-V Linux Image";
        case ImageKind::efi_zboot:
            return "a compressed EFI Linux image (zboot) without x86's header";
        case ImageKind::efi:
            return "an EFI or DOS program without Linux's boot header";
        case ImageKind::uimage:
            return "a U-Boot uImage";
        case ImageKind::gzip:
            return "compressed data (gzip)";
        case ImageKind::bzip2:
            return "compressed data (bzip2)";
        case ImageKind::lzma:
            return "compressed data (lzma)";
        case ImageKind::xz:
            return "compressed data (xz)";
        case ImageKind::lzop:
            return "compressed data (lzop)";
        case ImageKind::lz4:
            return "compressed data (lz4)";
        case ImageKind::zstd:
            return "compressed data (zstd)";
        case ImageKind::cpio:
            return "a cpio archive (an initrd?)";
        case ImageKind::qcow2:
            return "a qcow2 disk";
        case ImageKind::unknown:
            break;
    }
    return "of no known kind";
}

Result<Image> Image::open(std::string path) {
    // Without O_NONBLOCK, a FIFO would be waited for.
    kvm::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd.valid()) {
        return fail_errno(path, errno);
    }
    struct stat status{};
    if (::fstat(fd.number(), &status) != 0) {
        return fail_errno(path, errno);
    }
    if (S_ISDIR(status.st_mode)) {
        return fail_errno(path, EISDIR);
    }
    if (!S_ISREG(status.st_mode)) {
        return fail(path + ": not a regular file", EINVAL);
    }
    if (status.st_size <= 0) {
        return fail(path + ": the file is empty", EINVAL);
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    return adopt(std::move(path), std::move(fd), size, {{0, size}});
}

Result<Image> Image::adopt(std::string path, kvm::Fd fd, std::uint64_t size,
                           std::vector<DataRange> data) {
    Image image(std::move(path), std::move(fd), size, std::move(data));
    std::array<std::byte, 0x210> head;
    const auto known = std::span(head).first(std::min<std::uint64_t>(head.size(), size));
    const ssize_t n = read_fully(image.fd_.number(), known, 0);
    if (n < 0) {
        return fail_errno(image.path_, static_cast<int>(-n));
    }
    image.kind_ = recognise(known.first(static_cast<std::size_t>(n)));
    return image;
}

Result<void> Image::read(std::uint64_t offset, std::span<std::byte> to, const char* what) const {
    if (offset > size_ || to.size() > size_ - offset) {
        return fail(fmt::format("{}: truncated: {}: {} bytes from {:#x}, but the file has {}",
                                path_, what, to.size(), offset, size_),
                    EINVAL);
    }
    const ssize_t n = read_fully(fd_.number(), to, offset);
    if (n < 0) {
        return fail_errno(fmt::format("{}: {}", path_, what), static_cast<int>(-n));
    }
    if (static_cast<std::size_t>(n) < to.size()) {
        return fail(fmt::format("{}: the file shrank while its {} was read", path_, what), EINVAL);
    }
    return {};
}

Result<void> Image::load(const GuestMemory& memory, kvm::Gpa address, std::uint64_t offset,
                         std::uint64_t length, const char* what, RamContent ram) const {
    auto place = memory.host_span(address, length);
    if (!place) {
        return fail(fmt::format("{}: {}: {}", path_, what, place.error().message),
                    place.error().code);
    }
    if (ram == RamContent::any || offset > size_ || length > size_ - offset) {
        return read(offset, *place, what);
    }
    for (const DataRange& data : data_) {
        const std::uint64_t begin = std::max(data.begin, offset);
        const std::uint64_t end = std::min(data.end, offset + length);
        if (begin < end) {
            KVM_TRY(read(begin, place->subspan(begin - offset, end - begin), what));
        }
    }
    return {};
}

}  // namespace vmm
