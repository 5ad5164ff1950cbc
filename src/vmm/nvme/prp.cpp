// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <array>
#include <vmm/nvme/prp.hpp>

namespace vmm::nvme {

namespace {

constexpr std::uint64_t entry_size = sizeof(std::uint64_t);

void append(std::vector<GuestBuffer>& out, std::uint64_t address, std::uint64_t length) {
    if (!out.empty() && out.back().address.value() + out.back().length == address) {
        out.back().length += static_cast<std::uint32_t>(length);
    } else {
        out.push_back({kvm::Gpa(address), static_cast<std::uint32_t>(length)});
    }
}

std::uint64_t pages(std::uint64_t length) { return (length + page_size - 1) / page_size; }

/// A list's last entry in a page points to the next list if there is more than one page to come.
/// Lists but the first begin with their page, so that each tells of pages: even one that points to
/// itself ends.
Status follow_list(const GuestMemory& memory, std::uint64_t list, std::uint64_t length,
                   std::vector<GuestBuffer>& out) {
    std::array<std::uint64_t, page_size / entry_size> entries;
    for (;;) {
        const std::uint64_t room = (page_size - list % page_size) / entry_size;
        const std::uint64_t wanted = pages(length);
        const auto some = std::span(entries).first(std::min(room, wanted));
        if (!memory.read(kvm::Gpa(list), std::as_writable_bytes(some))) {
            return Status::data_transfer_error;
        }
        const bool more = wanted > room;
        for (const std::uint64_t entry : some.first(some.size() - (more ? 1 : 0))) {
            if (entry % page_size != 0) {
                return Status::invalid_prp_offset;
            }
            const std::uint64_t here = std::min(length, page_size);
            append(out, entry, here);
            length -= here;
        }
        if (!more) {
            return Status::success;
        }
        list = some.back();
        if (list % page_size != 0) {
            return Status::invalid_prp_offset;
        }
    }
}

}  // namespace

Status collect_prps(const GuestMemory& memory, std::uint64_t prp1, std::uint64_t prp2,
                    std::uint64_t length, std::vector<GuestBuffer>& out) {
    if (length == 0) {
        return Status::success;
    }
    if (length > most_transfer) {
        return Status::invalid_field;
    }
    if (prp1 % 4 != 0) {
        return Status::invalid_prp_offset;
    }
    const std::uint64_t first = std::min(length, page_size - prp1 % page_size);
    append(out, prp1, first);
    length -= first;
    if (length == 0) {
        return Status::success;
    }
    if (length > page_size) {
        return prp2 % entry_size != 0 ? Status::invalid_prp_offset
                                      : follow_list(memory, prp2, length, out);
    }
    if (prp2 % page_size != 0) {
        return Status::invalid_prp_offset;
    }
    append(out, prp2, length);
    return Status::success;
}

}  // namespace vmm::nvme
