// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <kvm/fd.hpp>
#include <kvm/types.hpp>
#include <memory>
#include <span>
#include <sys/uio.h>
#include <type_traits>
#include <vector>
#include <vmm/error.hpp>
#include <vmm/memory/dirty.hpp>
#include <vmm/memory/guest_copy.hpp>
#include <vmm/memory/region.hpp>
#include <vmm/memory/slots.hpp>

namespace kvm {
class Vcpu;
}

namespace vmm {

/// What may be read from and written to guest memory as a value: every pattern of bytes is a value
/// of it, and all its bytes are the value's. So no bool, no padding, which would show the guest
/// what the host's stack held, and no pointer or view: bytes go by read() and write() of a span.
template <class T>
concept GuestValue =
    std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T> &&
    !std::is_same_v<T, bool> && !std::is_pointer_v<T> && !std::ranges::borrowed_range<T> &&
    !std::is_convertible_v<const T&, std::span<const std::byte>>;

/// What load_acquire() and store_release() take: words that the hardware accesses at once.
template <class T>
concept GuestWord = GuestValue<T> && (sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8);

/// When locked pages come to the host's memory.
enum class Locking : std::uint8_t { now, on_touch };

/// Whether GuestMemory::sync() waits until the bytes are written, or only starts it.
enum class Sync : std::uint8_t { wait, start };

/// What madvise(2) is told.
enum class Advice : std::uint8_t {
    free,       // MADV_FREE: the contents are not needed until they are written again
    cold,       // MADV_COLD: not needed soon
    page_out,   // MADV_PAGEOUT: not needed soon; to swap with it
    will_need,  // MADV_WILLNEED: read it
    merge,      // MADV_MERGEABLE: share equal pages (KSM)
    unmerge,    // MADV_UNMERGEABLE
    huge,       // MADV_HUGEPAGE: as regions have it from the beginning
    no_huge,    // MADV_NOHUGEPAGE
    collapse,   // MADV_COLLAPSE: make huge pages now
    no_dump,    // MADV_DONTDUMP: not into this process's core dumps
    dump,       // MADV_DODUMP
    no_fork,    // MADV_DONTFORK: not into this process's children
    fork,       // MADV_DOFORK
};

/// A piece of a file for GuestMemory::map_fd(). Offset and length are in pages.
struct FilePart {
    /// Borrowed during the call.
    kvm::FdRef fd;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    /// `shared` and read_write need a descriptor that can be written by.
    Sharing sharing = Sharing::private_copy;
    Access access = Access::read_write;
};

/// A region that other processes can map, by its descriptor: what vhost-user wants to know.
struct SharedRegion {
    kvm::Gpa address;
    std::uint64_t size;
    std::byte* host;
    /// The region's, which closes it when it ends.
    kvm::FdRef fd;
    /// Where the region starts in the file.
    std::uint64_t offset;
};

/// The guest's memory: owns the host's mapping of it and, once attached, the memory slots of a VM.
///
/// The guest, and other threads on its behalf, may change any byte at any time. So nothing here
/// hands out a reference to be used while the guest runs: values are copied in and out, once. An
/// access outside the RAM is an Error and touches nothing. An aligned value of 1, 2, 4 or 8 bytes
/// is accessed at once, untorn; a longer one in any order. Copies order nothing between threads.
/// Values have the host's byte order, which is little-endian as the guest's; no bytes are swapped.
///
/// Move-only. Const methods may be called from several threads at once, also while one other thread
/// calls one that is not const. An access that began before remove_region() may find the region's
/// addresses without its memory: zeroes, and writes that go nowhere. See docs/memory.md.
class GuestMemory {
public:
    /// Memory in `regions`, which ascend and do not overlap; holes and neighbours are fine. The
    /// host's memory is used as it is touched (but HugeTlb's at once). Errors, naming the region
    /// and what it is made of: EINVAL (no bytes, not in pages, overlapping or out of order, beyond
    /// 52 bits, a file that is too short), ENOMEM (more than the host has, in all; no huge pages),
    /// and those of open(2), memfd_create(2), mmap(2).
    static Result<GuestMemory> create(std::span<const Region> regions);

    GuestMemory(GuestMemory&&) noexcept;
    GuestMemory& operator=(GuestMemory&&) noexcept;
    /// Takes the slots away from the VM, if it still lives, and unmaps: the guest can never reach
    /// what the host maps at these addresses later. A vCPU that runs on finds no memory.
    ~GuestMemory();

    /// Gives the VM every region, as slots 0, 1, ... Keeps the VM, but none of its vCPUs, alive
    /// until this is destroyed. All or nothing. KVM_SET_USER_MEMORY_REGION. Errors, naming the
    /// region: EBUSY (attached already), ENOSPC (more regions than slots), and Vm::add_memory()'s.
    Result<void> attach(const kvm::Vm& vm);
    /// The same with any implementation of slots.
    Result<void> attach(std::shared_ptr<MemorySlots> slots);

    /// Adds a region, also while the guest runs: it has it, in the lowest slot that is free, when
    /// this returns. All or nothing. Errors: EEXIST (it overlaps another), ENOSPC (no slot is
    /// free), create()'s and attach()'s.
    Result<void> add_region(const Region& region);
    /// Removes the region that starts at `address`, also while the guest runs, and gives its memory
    /// back to the host; its addresses in this process stay reserved until reclaim(). All or
    /// nothing. Errors: ENOENT (no region starts there), Vm::remove_memory()'s.
    Result<void> remove_region(kvm::Gpa address);
    /// Gives the addresses of removed regions back. To be called when no access that began before
    /// their removal goes on, and no host_span() or iovec of theirs is in use.
    void reclaim();

    /// The regions, in order of their addresses.
    std::vector<Region> regions() const;
    /// Those of which other processes see what is written: Memfd, File and HugeTlb that are shared,
    /// GuestMemfd with mmap once it is attached.
    std::vector<SharedRegion> shared_regions() const;
    /// How many bytes they have.
    std::uint64_t size() const;
    /// Whether all `length` bytes from `address` are memory; they may cross from one region to its
    /// neighbour. No bytes are memory anywhere.
    bool contains(kvm::Gpa address, std::uint64_t length) const;

    /// The value at `address`, in the guest's (little-endian) bytes. Errors: EFAULT (not all RAM).
    template <GuestValue T>
    Result<T> read(kvm::Gpa address) const {
        const std::byte* host = find(address, sizeof(T));
        if (!host || !detail::is_simple<sizeof(T)>(host)) [[unlikely]] {
            return read_slowly<T>(address);
        }
        std::array<std::byte, sizeof(T)> bytes;
        detail::load_guest<sizeof(T)>(bytes.data(), host);
        return std::bit_cast<T>(bytes);
    }
    /// Stores `value` at `address`. Errors: EFAULT (not all RAM), EROFS (read-only).
    template <GuestValue T>
    Result<void> write(kvm::Gpa address, const T& value) const {
        std::byte* host = find_writable(address, sizeof(T));
        if (!host || !detail::is_simple<sizeof(T)>(host)) [[unlikely]] {
            return write_slowly(address, value);
        }
        const auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
        detail::store_guest<sizeof(T)>(host, bytes.data());
        note_write(address, sizeof(T));
        return {};
    }
    /// The word at `address`; what other threads and the guest stored before the store that this
    /// reads from is visible after it: for rings. Errors: EINVAL (not aligned), EFAULT (not RAM).
    template <GuestWord T>
    Result<T> load_acquire(kvm::Gpa address) const {
        using W = typename detail::Word<sizeof(T)>::Type;
        const std::byte* host = find(address, sizeof(T));
        if (!host || !detail::is_aligned(host, sizeof(T))) [[unlikely]] {
            return fail_word<T, sizeof(T)>(address, Access::read_only);
        }
        return std::bit_cast<T>(
            __atomic_load_n(reinterpret_cast<const W*>(host), __ATOMIC_ACQUIRE));
    }
    /// Stores the word; whoever reads it by an acquiring load sees what was stored before. Errors:
    /// EINVAL (not aligned), EFAULT (not RAM), EROFS (read-only).
    template <GuestWord T>
    Result<void> store_release(kvm::Gpa address, const T& value) const {
        using W = typename detail::Word<sizeof(T)>::Type;
        std::byte* host = find_writable(address, sizeof(T));
        if (!host || !detail::is_aligned(host, sizeof(T))) [[unlikely]] {
            return fail_word<void, sizeof(T)>(address, Access::read_write);
        }
        __atomic_store_n(reinterpret_cast<W*>(host), std::bit_cast<W>(value), __ATOMIC_RELEASE);
        note_write(address, sizeof(T));
        return {};
    }

    /// Fills `to` from guest memory at `address`, across neighbouring regions. Errors: EFAULT (not
    /// all of it is RAM; `to` is untouched).
    Result<void> read(kvm::Gpa address, std::span<std::byte> to) const {
        const std::byte* host = find(address, to.size());
        if (!host) [[unlikely]] {
            return read_pieces(address, to);
        }
        detail::copy_from_guest(to.data(), host, to.size());
        return {};
    }
    /// Stores `from` at `address`, across neighbouring regions. Errors, nothing being written:
    /// EFAULT (not all of it is RAM), EROFS (some is read-only).
    Result<void> write(kvm::Gpa address, std::span<const std::byte> from) const {
        std::byte* host = find_writable(address, from.size());
        if (!host) [[unlikely]] {
            return write_pieces(address, from);
        }
        detail::copy_to_guest(host, from.data(), from.size());
        note_write(address, from.size());
        return {};
    }
    /// Sets `length` bytes from `address`. Errors, nothing being written: see write().
    Result<void> fill(kvm::Gpa address, std::uint64_t length, std::byte value) const;
    /// As write(), and read-only regions take it, too: for a loader. Errors: EFAULT, EROFS (a
    /// shared file that is mapped read-only).
    Result<void> load(kvm::Gpa address, std::span<const std::byte> from) const;

    /// The host's own memory behind `length` bytes within one region: for loaders, before the guest
    /// runs, and for system calls that read or write guest memory. Once the guest runs, its bytes
    /// change at any time, and to read one as a C++ object is undefined behaviour. What is written
    /// there is told to mark_dirty(). Valid as long as this GuestMemory is, or until reclaim()
    /// after the region's removal. Errors: EFAULT (not RAM, or not in one region), EROFS
    /// (read-only).
    Result<std::span<std::byte>> host_span(kvm::Gpa address, std::uint64_t length) const;
    /// The same to read from, read-only regions included.
    Result<std::span<const std::byte>> host_view(kvm::Gpa address, std::uint64_t length) const;
    /// Appends to `out` what readv(2) (Access::read_write) or writev(2) (Access::read_only) takes
    /// for `length` bytes at `address`, which may cross regions. host_span()'s caution holds.
    /// Errors, `out` being as it was: EFAULT (not all RAM), EROFS (some is read-only).
    Result<void> iovecs(kvm::Gpa address, std::uint64_t length, Access access,
                        std::vector<iovec>& out) const;

    /// Maps a part of a file over a part of a region, in place of what is there, also while the
    /// guest runs. A read_only part (only while no other thread writes there) is refused by
    /// write(), and a guest's write to it ends KVM_RUN with EFAULT, unless the region is read-only
    /// itself. A file that is cut short makes accesses a SIGBUS. All or nothing. Errors, naming the
    /// region: EINVAL (not in pages of the region's, not a regular file, a file that is too short),
    /// EFAULT (not in one region), EOPNOTSUPP (guest_memfd), mmap(2)'s.
    Result<void> map_fd(kvm::Gpa address, const FilePart& part) const;
    /// Takes away what map_fd() mapped within the range: Anonymous memory comes back as zeroes,
    /// files and memfds with what they held. Other bytes stay as they are. Errors: map_fd()'s.
    Result<void> unmap_fd(kvm::Gpa address, std::uint64_t length) const;

    /// Has the host's memory ready before it is touched: MADV_POPULATE_WRITE, where the kernel
    /// lacks it by touching. `progress` hears after each 64 MiB how many bytes are done, and ends
    /// it by returning false. Errors, naming the region: EINVAL (not in pages), EFAULT (not all
    /// RAM), ENOMEM, ECANCELED.
    Result<void> prefault(kvm::Gpa address, std::uint64_t length,
                          const std::function<bool(std::uint64_t done)>& progress = {}) const;
    /// Has the guest's page tables ready, too, so that its first accesses do not exit.
    /// KVM_PRE_FAULT_MEMORY. Needs cap::pre_fault_memory. Errors: EFAULT (not all RAM), and the
    /// ioctl's.
    Result<void> prefault(kvm::Gpa address, std::uint64_t length, kvm::Vcpu& vcpu) const;
    /// Keeps the pages in the host's memory: no swap. mlock2(2). Errors: see prefault(); EPERM,
    /// ENOMEM (RLIMIT_MEMLOCK, which the message has).
    Result<void> lock(kvm::Gpa address, std::uint64_t length, Locking when = Locking::now) const;
    /// Undoes it. munlock(2).
    Result<void> unlock(kvm::Gpa address, std::uint64_t length) const;
    /// Tells the host what to do with the pages. madvise(2). Errors: see prefault(); EINVAL (the
    /// kernel, or what the region is made of, does not do that).
    Result<void> advise(kvm::Gpa address, std::uint64_t length, Advice advice) const;
    /// Writes what changed in shared files to them; elsewhere does nothing. msync(2). Errors: see
    /// prefault(); EIO.
    Result<void> sync(kvm::Gpa address, std::uint64_t length, Sync how = Sync::wait) const;
    /// A balloon takes the pages: the host has them back at once. When they are touched again, they
    /// are zeroes, or what a private file holds; shared files get holes. Errors: see prefault();
    /// EROFS (a read-only region), EINVAL (locked pages).
    Result<void> inflate(kvm::Gpa address, std::uint64_t length) const;
    /// A balloon gives the pages back: touching them is all it takes, but of huge pages that must
    /// be reserved: a want of them is an error here, and there the end of the process.
    Result<void> deflate(kvm::Gpa address, std::uint64_t length) const;

    /// Starts to note which pages are written, by the guest and by the host (here, that is; what
    /// others write to is for mark_dirty()). Read-only regions are noted for the host alone. Every
    /// write that ends after this returns is noted. All or nothing. Errors, naming the region:
    /// EBUSY (started already), MemorySlots::set_flags()'s (guest_memfd cannot be logged).
    Result<void> start_dirty_tracking(DirtySource source = DirtySource::log);
    /// Stops it; what was not collected is forgotten. Errors: MemorySlots::set_flags()'s; it is
    /// stopped all the same, but KVM goes on logging.
    Result<void> stop_dirty_tracking();
    /// What was written since the last call, for each region; of one that was added meanwhile, all.
    /// Read the pages after it. A write that goes on meanwhile is in this call's or the next's.
    /// Errors: EINVAL (not started), MemorySlots::dirty_log()'s, nothing being lost.
    Result<std::vector<DirtyPages>> collect_dirty();
    /// Says that what is memory of these bytes was written by others than this object, after it
    /// was: by readv(2) into host_span() or iovecs(). Costs nothing while nothing is tracked.
    void mark_dirty(kvm::Gpa address, std::uint64_t length) const { note_write(address, length); }
    /// The same of a page that a DirtyRing had: the `page`-th of a slot. Others are ignored.
    void mark_dirty_page(kvm::Slot slot, std::uint64_t page) const;

private:
    struct Area;
    struct State;
    enum class Log : std::uint8_t { off, on };
    enum Want : std::uint8_t { to_read, to_write, to_load };
    /// What accesses look in: one for each region, more where parts of it are read-only; the last
    /// has no size. Never changed once published.
    struct Window {
        std::uint64_t start;
        std::array<std::uint64_t, 3> size;  // by Want: all, or 0
        std::byte* host;
        Area* area;

        friend bool operator==(const Window&, const Window&) = default;
    };

    static const Window nothing;

    GuestMemory();
    template <Want want>
    static const Window* window_of(const Window* table, std::uint64_t address) {
        for (;; ++table) {
            if (address - table->start < table->size[want]) [[likely]] {
                return table;
            }
            if (table->size[to_read] == 0) {
                return nullptr;
            }
        }
    }
    /// The host's address of `length` > 0 bytes within one window, or null.
    template <Want want>
    static std::byte* find_in(const Window* table, kvm::Gpa address, std::uint64_t length) {
        const Window* window = window_of<want>(table, address.value());
        if (!window) [[unlikely]] {
            return nullptr;
        }
        const std::uint64_t offset = address.value() - window->start;
        return length <= window->size[want] - offset ? window->host + offset : nullptr;
    }
    std::byte* find(kvm::Gpa address, std::uint64_t length) const {
        return find_in<to_read>(table(), address, length);
    }
    std::byte* find_writable(kvm::Gpa address, std::uint64_t length) const {
        return find_in<to_write>(table(), address, length);
    }
    const Window* table() const { return table_.load(std::memory_order_acquire); }
    /// After a write. The compiler must not test before; the hardware is taken care of by
    /// start_dirty_tracking().
    void note_write(kvm::Gpa address, std::uint64_t length) const {
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (tracking_.load(std::memory_order_relaxed)) [[unlikely]] {
            mark_pages(address, length);
        }
    }
    [[gnu::cold]] void mark_pages(kvm::Gpa address, std::uint64_t length) const;

    template <Want want>
    static bool all(const Window* table, kvm::Gpa address, std::uint64_t length);
    template <Want want, class Step>
    Result<void> walk(kvm::Gpa address, std::uint64_t length, Step step) const;
    // Apart, so that the callers' fast path saves no registers for them.
    Result<void> read_pieces(kvm::Gpa address, std::span<std::byte> to) const;
    Result<void> write_pieces(kvm::Gpa address, std::span<const std::byte> from) const;
    template <class T>
    [[gnu::cold, gnu::noinline]] Result<T> read_slowly(kvm::Gpa address) const {
        std::array<std::byte, sizeof(T)> bytes;
        if (auto done = read(address, std::span<std::byte>(bytes)); !done) {
            return std::unexpected(std::move(done).error());
        }
        return std::bit_cast<T>(bytes);
    }
    template <class T>
    [[gnu::cold, gnu::noinline]] Result<void> write_slowly(kvm::Gpa address, T value) const {
        const auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
        return write(address, std::span<const std::byte>(bytes));
    }
    template <class T, std::size_t length>
    [[gnu::cold, gnu::noinline]] Result<T> fail_word(kvm::Gpa address, Access access) const {
        return bad_word(address, length, access);
    }
    std::unexpected<Error> bad_access(kvm::Gpa address, std::uint64_t length) const;
    std::unexpected<Error> bad_word(kvm::Gpa address, std::uint64_t length, Access access) const;

    mutable std::atomic<const Window*> table_;  // map_fd() changes what may be written
    std::atomic<bool> tracking_ = false;
    std::unique_ptr<State> state_;
};

/// How much memory the host has, in bytes: what GuestMemory::create() compares with. sysinfo(2).
std::uint64_t host_memory_size();

/// A size for people: "512 MiB", "23.5 GiB", "4097 bytes"; below 1 MiB exact.
std::string describe_size(std::uint64_t bytes);

}  // namespace vmm
