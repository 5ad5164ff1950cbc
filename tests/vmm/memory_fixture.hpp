// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <vmm/memory/guest_memory.hpp>
#include <vmm/result.hpp>
#include <vmm/sanitized.hpp>

namespace vmm::test {

using namespace kvm::literals;

inline GuestMemory make(std::initializer_list<Region> regions) {
    return must(GuestMemory::create(std::vector(regions)));
}
inline std::string refusal(std::initializer_list<Region> regions) {
    return message(GuestMemory::create(std::vector(regions)));
}
inline bool has(const std::string& text, std::string_view part) {
    return text.find(part) != text.npos;
}

/// A file of `pages` pages, each filled with its number and one; gone with this.
class TempFile {
public:
    explicit TempFile(unsigned pages) : fd_(::mkstemp(path_.data())) {
        for (unsigned i = 0; i < pages; ++i) {
            const std::string page(4096, char(i + 1));
            EXPECT_EQ(::write(fd_.number(), page.data(), page.size()), 4096);
        }
    }
    ~TempFile() { ::unlink(path_.c_str()); }
    TempFile(const TempFile&) = delete;
    TempFile& operator=(const TempFile&) = delete;

    const std::string& path() const { return path_; }
    const kvm::Fd& fd() const { return fd_; }
    /// The byte at an offset, as others see the file.
    int at(off_t offset) const {
        unsigned char byte = 0xee;
        return ::pread(fd_.number(), &byte, 1, offset) == 1 ? byte : -1;
    }

private:
    std::string path_ = (std::filesystem::temp_directory_path() / "kvmxx-memory-XXXXXX").string();
    kvm::Fd fd_;
};

/// What a process has of descriptors, and of mappings that are not the allocator's.
struct Belongings {
    std::vector<std::string> mappings;
    long descriptors;

    static Belongings now() {
        Belongings found;
        found.descriptors = std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                          std::filesystem::directory_iterator());
        std::ifstream maps("/proc/self/maps");
        // Inaccessible pages are how GuestMemory reserves, and how sanitizers' allocators do; the
        // rest is by name.
        for (std::string line; std::getline(maps, line);) {
            if ((!sanitized && has(line, " ---p 00000000 00:00 0")) || has(line, "memfd:") ||
                has(line, "kvmxx-") || has(line, "guest_memfd") || has(line, "guest-memory")) {
                found.mappings.push_back(line);
            }
        }
        return found;
    }
    friend bool operator==(const Belongings&, const Belongings&) = default;
};

/// Slots of no VM: what was asked, and refusals to order.
class FakeSlots final : public MemorySlots {
public:
    struct Filled {
        kvm::Gpa address;
        std::span<std::byte> memory;
        kvm::Flags<kvm::MemFlag> flags;
        std::vector<std::uint64_t> dirty;
    };
    std::map<kvm::Slot, Filled> filled;
    std::uint32_t most = 8;
    /// The call that fails, counted from 1 on; with this errno.
    int failing = 0;
    int with = ENOMEM;
    int calls = 0;

    kvm::Result<std::uint32_t> limit() override { return most; }
    kvm::Result<void> add(const SlotConfig& config) override {
        return step("add", [&] {
            EXPECT_FALSE(filled.contains(config.slot));
            filled[config.slot] = {config.address, config.memory, config.flags,
                                   std::vector<std::uint64_t>(words(config.memory))};
        });
    }
    kvm::Result<void> set_flags(kvm::Slot slot, kvm::Flags<kvm::MemFlag> flags) override {
        return step("set_flags", [&] { filled.at(slot).flags = flags; });
    }
    kvm::Result<void> remove(kvm::Slot slot) override {
        return step("remove", [&] { EXPECT_EQ(filled.erase(slot), 1u); });
    }
    kvm::Result<void> dirty_log(kvm::Slot slot, std::span<std::uint64_t> bitmap) override {
        return step("dirty_log", [&] {
            auto& dirty = filled.at(slot).dirty;
            EXPECT_TRUE(filled.at(slot).flags.has(kvm::MemFlag::log_dirty_pages));
            ASSERT_EQ(bitmap.size(), dirty.size());
            std::ranges::copy(dirty, bitmap.begin());
            std::ranges::fill(dirty, 0);
        });
    }
    kvm::Result<kvm::GuestMemfd> create_guest_memfd(std::uint64_t size,
                                                    kvm::Flags<kvm::GuestMemfdFlag>) override {
        kvm::Fd fd(::memfd_create("guest_memfd", MFD_CLOEXEC));
        EXPECT_EQ(::ftruncate(fd.number(), off_t(size)), 0);
        const kvm::Result<void> done = step("create_guest_memfd", [] {});
        return done ? kvm::Result<kvm::GuestMemfd>(kvm::GuestMemfd(std::move(fd), size))
                    : std::unexpected(done.error());
    }

private:
    static std::size_t words(std::span<std::byte> memory) {
        return (memory.size() / 4096 + 63) / 64;
    }
    template <class Do>
    kvm::Result<void> step(const char* what, Do act) {
        if (++calls == failing) {
            return kvm::fail(what, with);
        }
        act();
        return {};
    }
};

}  // namespace vmm::test
