// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <kvm/types.hpp>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>
#include <vmm/error.hpp>
#include <vmm/memory/guest_copy.hpp>

namespace kvm {
class Vm;
}

namespace vmm {

/// A piece of guest-physical memory: RAM from `address`, `size` bytes. Both are multiples of 4096.
struct Region {
    kvm::Gpa address{};
    std::uint64_t size = 0;

    friend bool operator==(const Region&, const Region&) = default;
};

/// What may be read from and written to guest memory as a value: every pattern of bytes is a value
/// of it, and all its bytes are the value's. So no bool, no padding, which would show the guest
/// what the host's stack held, and no pointer or view: bytes go by read() and write() of a span.
template <class T>
concept GuestValue =
    std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T> &&
    !std::is_same_v<T, bool> && !std::is_pointer_v<T> && !std::ranges::borrowed_range<T> &&
    !std::is_convertible_v<const T&, std::span<const std::byte>>;

/// The guest's RAM: owns the host's mapping of it and, once attached, the memory slots of a VM.
///
/// The guest, and other threads on its behalf, may change any byte at any time. So nothing here
/// hands out a reference to be used while the guest runs: values are copied in and out, once. An
/// access outside the RAM is an Error and touches nothing. An aligned value of 1, 2, 4 or 8 bytes
/// is accessed at once, untorn; a longer one in any order. Copies order nothing between threads.
///
/// Move-only. Const methods may be called from several threads at once.
class GuestMemory {
public:
    /// RAM in `regions`, which ascend and do not overlap; holes and neighbours are fine. Anonymous
    /// memory, all zero, with huge pages where the host has them; the host's memory is used as the
    /// guest touches it. Errors: EINVAL (no bytes, not in pages, overlapping or out of order,
    /// beyond 52 bits), ENOMEM (more than the host has, in all).
    static Result<GuestMemory> create(std::span<const Region> regions);

    GuestMemory(GuestMemory&&) noexcept;
    GuestMemory& operator=(GuestMemory&&) noexcept;
    /// Takes the slots away from the VM, if it still lives, and unmaps: the guest can never reach
    /// what the host maps at these addresses later. A vCPU that runs on finds no memory.
    ~GuestMemory();

    /// Gives the VM every region, as slots 0, 1, ... Keeps the VM, but none of its vCPUs, alive
    /// until this is destroyed. All or nothing. KVM_SET_USER_MEMORY_REGION. Errors, naming the
    /// region: EBUSY (attached already), and Vm::add_memory()'s.
    Result<void> attach(const kvm::Vm& vm);

    /// The regions as create() got them.
    std::span<const Region> regions() const { return regions_; }
    /// How many bytes of RAM there are.
    std::uint64_t size() const { return size_; }
    /// Whether all `length` bytes from `address` are RAM; they may cross from one region to its
    /// neighbour. No bytes are RAM anywhere.
    bool contains(kvm::Gpa address, std::uint64_t length) const;

    /// The value at `address`, in the guest's (little-endian) bytes. Errors: EFAULT (not all RAM).
    template <GuestValue T>
    Result<T> read(kvm::Gpa address) const {
        std::array<std::byte, sizeof(T)> bytes;
        if (const std::byte* host = find(address, sizeof(T))) [[likely]] {
            detail::load_guest<sizeof(T)>(bytes.data(), host);
        } else if (auto done = read(address, std::span<std::byte>(bytes)); !done) {
            return std::unexpected(std::move(done).error());
        }
        return std::bit_cast<T>(bytes);
    }
    /// Stores `value` at `address`. Errors: EFAULT (not all RAM).
    template <GuestValue T>
    Result<void> write(kvm::Gpa address, const T& value) const {
        const auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
        if (std::byte* host = find(address, sizeof(T))) [[likely]] {
            detail::store_guest<sizeof(T)>(host, bytes.data());
            return {};
        }
        return write(address, std::span<const std::byte>(bytes));
    }

    /// Fills `to` from guest memory at `address`, across neighbouring regions. Errors: EFAULT (not
    /// all of it is RAM; `to` is untouched).
    Result<void> read(kvm::Gpa address, std::span<std::byte> to) const;
    /// Stores `from` at `address`, across neighbouring regions. Errors: EFAULT (not all of it is
    /// RAM; nothing is written).
    Result<void> write(kvm::Gpa address, std::span<const std::byte> from) const;
    /// Sets `length` bytes from `address`. Errors: EFAULT (not all of them are RAM; nothing is
    /// written).
    Result<void> fill(kvm::Gpa address, std::uint64_t length, std::byte value) const;

    /// The host's own memory behind `length` bytes within one region: for loaders, before the guest
    /// runs, and for system calls that read or write guest memory. Once the guest runs, its bytes
    /// change at any time, and to read one as a C++ object is undefined behaviour. Valid as long as
    /// this GuestMemory is. Errors: EFAULT (not RAM, or not in one region).
    Result<std::span<std::byte>> host_span(kvm::Gpa address, std::uint64_t length) const;

private:
    class Mapping;
    struct Attachment;
    struct Window {
        std::uint64_t start;
        std::uint64_t size;
        std::byte* host;
    };

    GuestMemory();
    void detach();
    const Window* window_of(std::uint64_t address) const {
        for (const Window& window : windows_) {
            if (address - window.start < window.size) [[likely]] {
                return &window;
            }
        }
        return nullptr;
    }
    /// The host's address of `length` > 0 bytes within one region, or null.
    std::byte* find(kvm::Gpa address, std::uint64_t length) const {
        const Window* window = window_of(address.value());
        if (!window) [[unlikely]] {
            return nullptr;
        }
        const std::uint64_t offset = address.value() - window->start;
        return length <= window->size - offset ? window->host + offset : nullptr;
    }
    template <class Step>
    Result<void> walk(kvm::Gpa address, std::uint64_t length, Step step) const;

    std::vector<Region> regions_;
    std::vector<Mapping> mappings_;
    std::vector<Window> windows_;
    std::uint64_t size_ = 0;
    std::unique_ptr<Attachment> attachment_;
};

/// How much memory the host has, in bytes: what GuestMemory::create() compares with. sysinfo(2).
std::uint64_t host_memory_size();

/// A size for people: "512 MiB", "23.5 GiB", "4097 bytes"; below 1 MiB exact.
std::string describe_size(std::uint64_t bytes);

}  // namespace vmm
