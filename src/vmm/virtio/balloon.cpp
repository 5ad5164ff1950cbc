// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/virtio/balloon.hpp>
#include <vmm/virtio/pop.hpp>
#include <vmm/virtio/serve.hpp>

namespace vmm::virtio {

namespace {

// virtio 1.2, 5.5.3.
constexpr std::uint64_t f_statistics = 1 << 1;
constexpr std::uint64_t f_deflate_on_oom = 1 << 2;
constexpr std::uint64_t f_reporting = 1 << 5;

// 5.5.4. What is not offered reads as 0.
struct Configuration {
    std::uint32_t target_pages;
    std::uint32_t actual_pages;
};
constexpr std::uint64_t actual_offset = 4;

// 5.5.6.3; the last ones are Linux's.
constexpr std::array<const char*, 16> statistic_names{
    "swap-in",       "swap-out",      "major-faults",     "minor-faults",
    "free-memory",   "total-memory",  "available-memory", "disk-caches",
    "hugetlb-pages", "hugetlb-fails", "oom-kills",        "allocation-stalls",
    "async-scans",   "direct-scans",  "async-reclaims",   "direct-reclaims"};
constexpr std::size_t statistic_size = 10;  // number, u16, and value, u64, without padding
constexpr std::size_t most_statistics = 64;

constexpr std::uint64_t most_pages = 64 << 10;  // of one request; Linux has 256
constexpr std::size_t budget = 64;              // requests at once: each may be many madvise(2)

struct Saved {
    std::uint32_t target_pages;
    std::uint32_t actual_pages;
};

}  // namespace

Balloon::Balloon(const BalloonOptions& options) : options_(options) {
    set_target(options.target_bytes);
}

void Balloon::set_target(std::uint64_t bytes) {
    target_pages_ =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes / page_size, 0xffffffff));
    report_.target_bytes = target_pages_ * page_size;
    if (host_) {
        host_->config_changed();
    }
}

std::uint64_t Balloon::features() const {
    return feature::rings | (options_.statistics.count() > 0 ? f_statistics : 0) |
           (options_.deflate_on_oom ? f_deflate_on_oom : 0) |
           (options_.reporting ? f_reporting : 0);
}

void Balloon::read_config(std::uint64_t offset, std::span<std::byte> data) const {
    read_part(Configuration{target_pages_, actual_pages_}, offset, data);
}

void Balloon::write_config(std::uint64_t offset, std::span<const std::byte> data) {
    if (offset < actual_offset) {
        return;  // the driver may write the actual size alone
    }
    write_part(actual_pages_, offset - actual_offset, data);
    report_.actual_bytes = actual_pages_ * page_size;
}

/// The specification numbers all queues, drivers of Linux before 6.11 those that they use. Which it
/// is shows where a queue that would exist is not enabled.
Balloon::Role Balloon::role(std::uint16_t queue) const {
    struct Optional {
        Role role;
        std::uint64_t feature;
    };
    constexpr std::array<Optional, 3> optional{
        {{Role::statistics, f_statistics}, {Role::hinting, 0}, {Role::reporting, f_reporting}}};
    if (queue < 2) {
        return queue == 0 ? Role::inflate : Role::deflate;
    }
    std::size_t place = queue - 2U;
    for (std::size_t i = 0; i < optional.size(); ++i) {
        const bool there = (features_ & optional[i].feature) != 0;
        if (!contiguous_ && i == place) {
            return there ? optional[i].role : Role::none;
        }
        if (contiguous_ && there && place-- == 0) {
            return optional[i].role;
        }
    }
    return Role::none;
}

Result<void> Balloon::activate(Host& host, std::uint64_t features) {
    host_ = &host;
    features_ = features;
    contiguous_ = false;
    for (std::uint16_t queue = 2; queue < sizes.size(); ++queue) {
        if (!host.queue(queue) && role(queue) != Role::none) {
            contiguous_ = true;
            break;
        }
    }
    kept_.clear();
    for (const Region& region : host.memory().regions()) {
        if (std::holds_alternative<backing::HugeTlb>(region.backing)) {
            kept_.emplace_back(region.address.value(), region.address.value() + region.size);
        }
    }
    again_ = KVM_TRY(host.reactor().timer([this] {
        for (std::uint16_t queue = 0; queue < sizes.size(); ++queue) {
            if (host_->queue(queue)) {
                notified(queue);
            }
        }
    }));
    if (features & f_statistics) {
        timer_ = KVM_TRY(host.reactor().timer([this] { ask_for_statistics(); }));
        timer_->start(options_.statistics);
    }
    return {};
}

void Balloon::reset() {
    timer_.reset();
    again_.reset();
    host_ = nullptr;
    actual_pages_ = 0;  // the driver has them all again
    report_.actual_bytes = 0;
}

void Balloon::notified(std::uint16_t queue) {
    const Role what = role(queue);
    if (what == Role::statistics) {
        if (auto done = read_statistics(); !done) {
            host_->disable(done.error().message);
        }
        return;
    }
    if (what == Role::none) {
        return;
    }
    const bool done = serve(*host_, queue, chain_, budget,
                            [&](const Chain& chain) -> Result<std::optional<std::uint32_t>> {
                                KVM_TRY(what == Role::inflate   ? inflate(chain)
                                        : what == Role::deflate ? deflate(chain)
                                                                : report_free(chain));
                                return 0;
                            });
    if (!done) {
        again_->start({});
    }
}

/// Calls `act(address, length)` for what a chain's page numbers name, neighbours at once, so that
/// the host gets whole huge pages where it can.
template <class Act>
Result<void> Balloon::for_runs(const Chain& chain, Act act) {
    const std::uint64_t bytes = chain.readable_bytes();
    if (bytes == 0 || bytes % sizeof(std::uint32_t) != 0 ||
        bytes / sizeof(std::uint32_t) > most_pages) {
        return fail(fmt::format("page numbers of {} bytes", bytes), EINVAL);
    }
    std::vector<std::uint32_t> pages(bytes / sizeof(std::uint32_t));
    KVM_TRY(read(host_->memory(), chain.readable, 0, std::as_writable_bytes(std::span(pages))));
    std::ranges::sort(pages);
    for (std::size_t i = 0; i < pages.size();) {
        const std::uint64_t first = pages[i];
        std::uint64_t next = first + 1;
        while (++i < pages.size() && pages[i] <= next) {
            next = std::max<std::uint64_t>(next, pages[i] + std::uint64_t{1});
        }
        KVM_TRY(act(first * page_size, (next - first) * page_size));
    }
    return {};
}

Result<void> Balloon::inflate(const Chain& chain) {
    return for_runs(chain, [&](std::uint64_t address, std::uint64_t length) {
        return give_back(address, length, Cause::inflate);
    });
}

Result<void> Balloon::deflate(const Chain& chain) {
    // There is nothing to do, for touching a page is all that it takes; but what is no memory was
    // never in the balloon.
    return for_runs(chain, [&](std::uint64_t address, std::uint64_t length) -> Result<void> {
        if (!host_->memory().contains(kvm::Gpa(address), length)) {
            return fail(fmt::format("pages at {:#x} are no memory", address), EFAULT);
        }
        return {};
    });
}

Result<void> Balloon::report_free(const Chain& chain) {
    for (const Buffer& buffer : chain.writable) {
        const std::uint64_t start = buffer.address.value();
        if (!host_->memory().contains(buffer.address, buffer.length)) {
            return fail(fmt::format("free pages at {:#x} are no memory", start), EFAULT);
        }
        const std::uint64_t first = (start + page_size - 1) / page_size * page_size;
        const std::uint64_t end = (start + buffer.length) / page_size * page_size;
        if (first < end) {
            KVM_TRY(give_back(first, end - first, Cause::report));
        }
    }
    return {};
}

/// The host gets these pages, but those of reserved huge pages. What is not the guest's to give is
/// an Error; what the host cannot do is noted.
Result<void> Balloon::give_back(std::uint64_t address, std::uint64_t length, Cause cause) {
    const std::uint64_t end = address + length;
    while (address < end) {
        std::uint64_t until = end;
        bool keep = false;
        for (const auto& [first, last] : kept_) {
            if (address >= first && address < last) {
                keep = true;
                until = std::min(until, last);
            } else if (first > address) {
                until = std::min(until, first);
            }
        }
        if (!keep) {
            const auto done = host_->memory().inflate(kvm::Gpa(address), until - address);
            if (!done && (done.error().code == EFAULT || done.error().code == EROFS)) {
                return done;
            }
            if (!done) {
                note(done.error());
            } else {
                (cause == Cause::inflate ? report_.given_back_bytes : report_.reported_bytes) +=
                    until - address;
            }
        }
        address = until;
    }
    return {};
}

void Balloon::note(const Error& error) {
    constexpr std::size_t most_notes = 8;
    std::string text = "balloon: " + error.message;
    if (report_.notes.size() < most_notes &&
        std::ranges::find(report_.notes, text) == report_.notes.end()) {
        report_.notes.push_back(std::move(text));
    }
}

/// Reads the statistics that the driver left for the device, which keeps them: they go back when it
/// is to write new ones.
Result<void> Balloon::read_statistics() {
    Queue* const queue = host_->queue(statistics_queue);
    if (!queue || !KVM_TRY(pop_or_wait(*queue, chain_))) {
        return {};
    }
    std::array<std::byte, most_statistics * statistic_size> bytes;
    const std::size_t size = std::min<std::uint64_t>(bytes.size(), chain_.readable_bytes()) /
                             statistic_size * statistic_size;
    KVM_TRY(read(host_->memory(), chain_.readable, 0, std::span(bytes).first(size)));
    queue->undo_pop(chain_);
    report_.statistics.clear();
    for (std::size_t at = 0; at < size; at += statistic_size) {
        std::uint16_t number = 0;
        std::uint64_t value = 0;
        std::memcpy(&number, &bytes[at], sizeof number);
        std::memcpy(&value, &bytes[at + sizeof number], sizeof value);
        if (number < statistic_names.size()) {
            report_.statistics.emplace_back(statistic_names[number], value);
        }
    }
    return {};
}

void Balloon::ask_for_statistics() {
    const std::uint16_t index = statistics_queue;
    const auto give_back = [&]() -> Result<void> {
        Queue* const queue = host_->queue(index);
        if (queue && KVM_TRY(pop_or_wait(*queue, chain_))) {
            queue->push(chain_, 0);
            host_->interrupt(index);
        }
        return {};
    };
    if (auto done = give_back(); !done) {
        host_->disable(done.error().message);
        return;
    }
    timer_->start(options_.statistics);
}

std::vector<Statistic> Balloon::statistics() const {
    std::vector<Statistic> all{
        {"target-bytes", report_.target_bytes, false},
        {"actual-bytes", report_.actual_bytes, false},
        {"given-back-bytes", report_.given_back_bytes},
        {"reported-bytes", report_.reported_bytes},
    };
    for (const auto& [name, value] : report_.statistics) {
        all.push_back({"guest-" + name, value, false});
    }
    return all;
}

std::vector<std::byte> Balloon::save() {
    const Saved saved{target_pages_, actual_pages_};
    const auto bytes = std::as_bytes(std::span(&saved, 1));
    return {bytes.begin(), bytes.end()};
}

Result<void> Balloon::restore(std::span<const std::byte> bytes) {
    Saved saved;
    if (bytes.size() != sizeof saved) {
        return fail("balloon: a state of another device", EINVAL);
    }
    std::memcpy(&saved, bytes.data(), sizeof saved);
    target_pages_ = saved.target_pages;
    actual_pages_ = saved.actual_pages;
    report_.target_bytes = target_pages_ * page_size;
    report_.actual_bytes = actual_pages_ * page_size;
    return {};
}

}  // namespace vmm::virtio
