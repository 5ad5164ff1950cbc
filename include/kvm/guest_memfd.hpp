// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/memory.hpp>
#include <kvm/fd.hpp>
#include <span>

namespace kvm {

/// Memory that belongs to one VM and that the host need not be able to see: what private memory is
/// made of. Vm::create_guest_memfd() makes one, Vm::add_memory() gives it to a slot.
class GuestMemfd {
public:
    /// Takes over a descriptor of guest memory that is `size` bytes long.
    GuestMemfd(Fd fd, u64 size) : fd_(static_cast<Fd&&>(fd)), size_(size) {}

    /// The descriptor, for fallocate(2) and the like.
    const Fd& fd() const { return fd_; }
    /// How long it is, in bytes.
    u64 size() const { return size_; }

    /// A part of it in the host's address space; the part lives until the Mapping ends. Needs
    /// cap::guest_memfd_flags to have GuestMemfdFlag::mmap, and the memory made with it.
    /// Since 6.18. Errors: ENODEV (made without it), EINVAL (unaligned, or beyond the end), ENOMEM.
    class Mapping;
    Result<Mapping> map(u64 offset, u64 length) const;

private:
    Fd fd_;
    u64 size_;
};

/// A part of guest memory, mapped. Move-only; unmaps at the end of its life.
class GuestMemfd::Mapping {
public:
    Mapping(Mapping&& other) noexcept : bytes_(other.bytes_) { other.bytes_ = {}; }
    Mapping& operator=(Mapping&& other) noexcept {
        const auto mine = bytes_;
        bytes_ = other.bytes_;
        other.bytes_ = mine;
        return *this;
    }
    ~Mapping();

    /// The bytes. The guest may change them while it runs. A touch faults (SIGBUS) where the memory
    /// is private to the guest.
    std::span<std::byte> bytes() const { return bytes_; }
    /// Which NUMA nodes pages that are not there yet come from: mbind(2) with `mode` (MPOL_BIND and
    /// so on) over a mask of nodes. Since 6.19 for guest memory. Errors: EINVAL, ENOSYS.
    Result<void> set_numa_policy(int mode, std::span<const unsigned long> nodes) const;

private:
    friend class GuestMemfd;
    explicit Mapping(std::span<std::byte> bytes) : bytes_(bytes) {}

    std::span<std::byte> bytes_;
};

}  // namespace kvm
