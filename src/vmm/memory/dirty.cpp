// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <kvm/try.hpp>
#include <vmm/memory/state.hpp>

/// Which pages were written. A write marks its pages after it stored its bytes, and collect_dirty()
/// takes the marks before the caller reads the pages: what is read too early is marked again.
namespace vmm {

std::uint64_t DirtyPages::count() const {
    std::uint64_t pages = 0;
    for (const std::uint64_t word : bitmap) {
        pages += static_cast<std::uint64_t>(std::popcount(word));
    }
    return pages;
}

std::vector<GuestRange> DirtyPages::ranges() const {
    std::vector<GuestRange> found;
    for (std::uint64_t page = 0; page < bitmap.size() * 64;) {
        const std::uint64_t rest = bitmap[page / 64] >> (page % 64);
        if (rest == 0) {
            page = (page / 64 + 1) * 64;
            continue;
        }
        page += static_cast<std::uint64_t>(std::countr_zero(rest));
        const kvm::Gpa start = address + page * detail::page_size;
        const int ones = std::countr_one(bitmap[page / 64] >> (page % 64));
        const std::uint64_t bytes = static_cast<std::uint64_t>(ones) * detail::page_size;
        if (!found.empty() && found.back().address + found.back().size == start) {
            found.back().size += bytes;
        } else {
            found.push_back({start, bytes});
        }
        page += static_cast<std::uint64_t>(ones);
    }
    return found;
}

void GuestMemory::Area::clear_dirty() {
    if (!dirty) {
        dirty = std::make_unique<std::atomic<std::uint64_t>[]>(dirty_words());
    }
    for (std::size_t i = 0; i < dirty_words(); ++i) {
        dirty[i].store(0, std::memory_order_relaxed);
    }
}

void GuestMemory::Area::mark(std::uint64_t first_page, std::uint64_t end_page) {
    for (std::uint64_t page = first_page; page < end_page;) {
        const std::uint64_t shift = page % 64;
        const std::uint64_t count = std::min(64 - shift, end_page - page);
        // Marked anew even where it is marked: the bytes must be visible to who takes the mark.
        dirty[page / 64].fetch_or((~std::uint64_t(0) >> (64 - count)) << shift,
                                  std::memory_order_release);
        page += count;
    }
}

void GuestMemory::mark_pages(kvm::Gpa address, std::uint64_t length) const {
    if (!tracking_.load(std::memory_order_acquire) || length == 0) {
        return;
    }
    const std::uint64_t from = address.value();
    const std::uint64_t to = length > ~from ? ~std::uint64_t(0) : from + length;
    for (const Window* window = table(); window->size[to_read] != 0; ++window) {
        const std::uint64_t start = std::max(from, window->start);
        const std::uint64_t end = std::min(to, window->start + window->size[to_read]);
        if (start < end) {
            const std::uint64_t base = window->area->start();
            window->area->mark((start - base) / detail::page_size,
                               (end - base + detail::page_size - 1) / detail::page_size);
        }
    }
}

void GuestMemory::mark_dirty_page(kvm::Slot slot, std::uint64_t page) const {
    const auto id = kvm::Slot(static_cast<std::uint32_t>(slot) & 0xffff);  // without address space
    const std::lock_guard lock(state_->mutex);
    for (const auto& area : state_->areas) {
        if (area->slot == id && area->dirty && page < area->region.size / detail::page_size) {
            area->mark(page, page + 1);
        }
    }
}

Result<void> GuestMemory::State::log_writes(Log wanted) {
    Result<void> first;
    for (const auto& area : areas) {
        if (!area->slot || area->region.access == Access::read_only) {
            continue;
        }
        const auto done = slots->set_flags(*area->slot, area->flags(wanted));
        if (!done && first) {
            first = detail::fail_for(area->region, done.error());
        }
    }
    return first;
}

namespace {

/// Every thread of the process has passed a full barrier when this returns: a write that does not
/// see what was stored before is seen by what is loaded after. membarrier(2).
Result<void> pass_barriers() {
    if (::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0 ||
        ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
        return fail_errno("guest memory: membarrier", errno);
    }
    return {};
}

}  // namespace

Result<void> GuestMemory::start_dirty_tracking(DirtySource source) {
    const std::lock_guard lock(state_->mutex);
    if (tracking_) {
        return fail("guest memory: its dirty pages are tracked already", EBUSY);
    }
    for (const auto& area : state_->areas) {
        area->clear_dirty();
    }
    state_->dirty_source = source;
    tracking_.store(true, std::memory_order_release);
    auto done = pass_barriers();
    if (done) {
        done = state_->log_writes(Log::on);
    }
    if (!done) {
        tracking_ = false;
        (void)state_->log_writes(Log::off);
    }
    return done;
}

Result<void> GuestMemory::stop_dirty_tracking() {
    const std::lock_guard lock(state_->mutex);
    return tracking_.exchange(false) ? state_->log_writes(Log::off) : Result<void>();
}

Result<std::vector<DirtyPages>> GuestMemory::collect_dirty() {
    const std::lock_guard lock(state_->mutex);
    if (!tracking_) {
        return fail("guest memory: its dirty pages are not tracked", EINVAL);
    }
    auto& areas = state_->areas;
    std::vector<DirtyPages> all;
    for (const auto& area : areas) {
        const Region& region = area->region;
        auto& bitmap = all.emplace_back(region.address, region.size,
                                        std::vector<std::uint64_t>(area->dirty_words()))
                           .bitmap;
        if (!area->slot || region.access == Access::read_only ||
            state_->dirty_source == DirtySource::ring) {
            continue;
        }
        if (const auto done = state_->slots->dirty_log(*area->slot, bitmap); !done) {
            // What the kernel has told already, it does not tell again.
            for (std::size_t i = 0; i + 1 < all.size(); ++i) {
                for (std::size_t word = 0; word < all[i].bitmap.size(); ++word) {
                    areas[i]->dirty[word].fetch_or(all[i].bitmap[word]);
                }
            }
            return detail::fail_for(region, done.error());
        }
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
        for (std::size_t word = 0; word < all[i].bitmap.size(); ++word) {
            all[i].bitmap[word] |= areas[i]->dirty[word].exchange(0, std::memory_order_acquire);
        }
    }
    return all;
}

}  // namespace vmm
