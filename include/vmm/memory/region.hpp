// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/abi/cap_flags.hpp>
#include <kvm/types.hpp>
#include <string>
#include <variant>

namespace vmm {

/// What may be done to memory.
enum class Access : std::uint8_t { read_write, read_only };

/// Whether writes to a mapped file reach it, and so whoever else has it, or stay in this mapping.
enum class Sharing : std::uint8_t { private_copy, shared };

/// The sizes of huge pages that x86_64 and arm64 (with pages of 4 KiB) have.
enum class HugePage : std::uint64_t {
    mib_2 = std::uint64_t(1) << 21,
    gib_1 = std::uint64_t(1) << 30
};

/// What a region of guest memory is made of: plain data, of which a Region has one.
namespace backing {

/// Memory of this process alone, all zero, with transparent huge pages where the host has them.
struct Anonymous {
    friend bool operator==(const Anonymous&, const Anonymous&) = default;
};

/// memfd_create(2): all zero, and other processes can map it by its descriptor (vhost-user). It is
/// sealed against a change of its size, so that nobody can make an access of ours a SIGBUS; further
/// seals may be added.
struct Memfd {
    /// What /proc shows it as.
    std::string name = "guest-memory";

    friend bool operator==(const Memfd&, const Memfd&) = default;
};

/// A regular file, which must be long enough and stay so: an access beyond its end is a SIGBUS.
struct File {
    /// Its path; beside an `fd`, only for messages.
    std::string path{};
    /// A descriptor of it, borrowed until the region is made; -1: the path is opened.
    int fd = -1;
    /// Where the region starts in it, in pages.
    std::uint64_t offset = 0;
    /// `shared` needs a file that can be written, unless the region is read-only.
    Sharing sharing = Sharing::private_copy;

    friend bool operator==(const File&, const File&) = default;
};

/// Huge pages that the administrator reserved, all of them taken when the region is made. Address
/// and size are multiples of the page's.
struct HugeTlb {
    HugePage page = HugePage::mib_2;
    /// `shared` is a memfd, with a descriptor for other processes.
    Sharing sharing = Sharing::private_copy;

    friend bool operator==(const HugeTlb&, const HugeTlb&) = default;
};

/// guest_memfd, made by the VM when the memory is attached to it. Needs cap::guest_memfd. With
/// GuestMemfdFlag::mmap (Linux 6.18) it is the host's memory, too; what the host wrote before is
/// copied. Without, it is for what the guest keeps private, and what it shares is Anonymous.
struct GuestMemfd {
    kvm::Flags<kvm::GuestMemfdFlag> flags =
        kvm::GuestMemfdFlag::mmap | kvm::GuestMemfdFlag::init_shared;

    friend bool operator==(const GuestMemfd&, const GuestMemfd&) = default;
};

}  // namespace backing

using Backing = std::variant<backing::Anonymous, backing::Memfd, backing::File, backing::HugeTlb,
                             backing::GuestMemfd>;

/// A piece of guest-physical memory: `size` bytes from `address`. Both are multiples of 4096.
struct Region {
    kvm::Gpa address{};
    std::uint64_t size = 0;
    Backing backing{};
    /// `read_only`: a ROM. The guest's writes are MMIO exits, write() refuses, and only
    /// GuestMemory::load() stores. Needs cap::readonly_mem.
    Access access = Access::read_write;

    friend bool operator==(const Region&, const Region&) = default;
};

/// "guest memory 0x0..0xfff (file /path)": how messages name a region.
std::string describe(const Region& region);

}  // namespace vmm
