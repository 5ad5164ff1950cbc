// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "memory_fixture.hpp"

#include <atomic>
#include <thread>

namespace vmm::test {
namespace {

using Ranges = std::vector<GuestRange>;

Ranges dirty(GuestMemory& memory) {
    Ranges all;
    for (const DirtyPages& pages : must(memory.collect_dirty())) {
        const Ranges ranges = pages.ranges();
        std::uint64_t size = 0;
        for (const GuestRange& range : ranges) {
            size += range.size;
        }
        EXPECT_EQ(pages.count() * 4_KiB, size);
        all.insert(all.end(), ranges.begin(), ranges.end());
    }
    return all;
}

class MemoryDirty : public testing::Test {
protected:
    GuestMemory memory = make({{0_gpa, 1_MiB},
                               {0x100000_gpa, 8_KiB, backing::Memfd{}},
                               {0x200000_gpa, 8_KiB, {}, Access::read_only}});
    std::shared_ptr<FakeSlots> slots = std::make_shared<FakeSlots>();
};

TEST(DirtyPages, AreRangesThatCrossWords) {
    DirtyPages pages{0x1000_gpa, 192 * 4_KiB, {~0ull << 63, ~0ull, 1}};
    EXPECT_EQ(pages.ranges(), (Ranges{{kvm::Gpa(0x1000 + 63 * 4096), 66 * 4_KiB}}));
    EXPECT_EQ(pages.count(), 66u);
    pages.bitmap = {5, 0, 1ull << 63};
    EXPECT_EQ(
        pages.ranges(),
        (Ranges{{0x1000_gpa, 4_KiB}, {0x3000_gpa, 4_KiB}, {kvm::Gpa(0x1000 + 191 * 4096), 4_KiB}}));
    pages.bitmap = {};
    EXPECT_TRUE(pages.ranges().empty());
}

TEST_F(MemoryDirty, PagesAreThoseWrittenByEveryWayThatWrites) {
    must(memory.start_dirty_tracking());
    EXPECT_EQ(dirty(memory), Ranges());
    const std::array<std::byte, 0x1800> bytes{};
    must(memory.write(0x1ffc_gpa, std::uint64_t(1)));
    must(memory.write(0x10000_gpa, std::span<const std::byte>(bytes)));
    must(memory.fill(0x20fff_gpa, 2, std::byte(1)));
    must(memory.store_release(0x30000_gpa, std::uint32_t(1)));
    must(memory.write(0xffff8_gpa, std::array<std::uint64_t, 2>{1, 2}));
    must(memory.load(0x201000_gpa, std::span(bytes).first(1)));
    memory.mark_dirty(0x40000_gpa, 4097);
    EXPECT_EQ(dirty(memory), (Ranges{{0x1000_gpa, 8_KiB},
                                     {0x10000_gpa, 8_KiB},
                                     {0x20000_gpa, 8_KiB},
                                     {0x30000_gpa, 4_KiB},
                                     {0x40000_gpa, 8_KiB},
                                     {0xff000_gpa, 4_KiB},
                                     {0x100000_gpa, 4_KiB},
                                     {0x201000_gpa, 4_KiB}}));
    EXPECT_EQ(dirty(memory), Ranges()) << "it starts anew";
    (void)must(memory.read<std::uint64_t>(0x1000_gpa));
    EXPECT_EQ(dirty(memory), Ranges()) << "reads are no writes";
}

TEST_F(MemoryDirty, PagesAreTrackedOnlyBetweenStartAndStop) {
    must(memory.write(0_gpa, std::uint8_t(1)));
    EXPECT_EQ(message(memory.collect_dirty()), "guest memory: its dirty pages are not tracked");
    must(memory.start_dirty_tracking());
    EXPECT_EQ(code(memory.start_dirty_tracking()), EBUSY);
    must(memory.write(0x1000_gpa, std::uint8_t(1)));
    must(memory.stop_dirty_tracking());
    must(memory.stop_dirty_tracking());
    must(memory.write(0x2000_gpa, std::uint8_t(1)));
    must(memory.start_dirty_tracking());
    EXPECT_EQ(dirty(memory), Ranges());
    GuestMemory moved = std::move(memory);
    must(moved.write(0x3000_gpa, std::uint8_t(1)));
    EXPECT_EQ(dirty(moved), (Ranges{{0x3000_gpa, 4_KiB}}));
}

TEST_F(MemoryDirty, PagesOfTheGuestAndOfTheHostComeTogether) {
    must(memory.attach(slots));
    must(memory.start_dirty_tracking());
    EXPECT_EQ(slots->filled.at(kvm::Slot(0)).flags, kvm::MemFlag::log_dirty_pages);
    EXPECT_EQ(slots->filled.at(kvm::Slot(2)).flags, kvm::MemFlag::readonly);
    slots->filled.at(kvm::Slot(0)).dirty.at(3) = 2;
    slots->filled.at(kvm::Slot(1)).dirty.at(0) = 1;
    must(memory.write(0_gpa, std::uint8_t(1)));
    must(memory.write(0x101000_gpa, std::uint8_t(1)));
    EXPECT_EQ(dirty(memory), (Ranges{{0_gpa, 4_KiB}, {0xc1000_gpa, 4_KiB}, {0x100000_gpa, 8_KiB}}));
    must(memory.stop_dirty_tracking());
    EXPECT_TRUE(slots->filled.at(kvm::Slot(0)).flags.empty());
}

TEST_F(MemoryDirty, PagesOfRingsAreMarkedBySlotAndNumber) {
    must(memory.attach(slots));
    must(memory.start_dirty_tracking(DirtySource::ring));
    EXPECT_TRUE(slots->filled.at(kvm::Slot(0)).flags.has(kvm::MemFlag::log_dirty_pages));
    memory.mark_dirty_page(kvm::Slot(0), 255);
    memory.mark_dirty_page(kvm::Slot(1 << 16 | 1), 1);
    memory.mark_dirty_page(kvm::Slot(0), 256);
    memory.mark_dirty_page(kvm::Slot(0), ~0ull);
    memory.mark_dirty_page(kvm::Slot(9), 0);
    slots->failing = slots->calls + 1;  // the log is not asked
    EXPECT_EQ(dirty(memory), (Ranges{{0xff000_gpa, 4_KiB}, {0x101000_gpa, 4_KiB}}));
}

TEST_F(MemoryDirty, NothingIsLostWhenALogCannotBeRead) {
    must(memory.attach(slots));
    must(memory.start_dirty_tracking());
    slots->filled.at(kvm::Slot(0)).dirty.at(0) = 1;
    must(memory.write(0x1000_gpa, std::uint8_t(1)));
    slots->failing = slots->calls + 2;
    EXPECT_EQ(message(memory.collect_dirty()),
              "guest memory 0x100000..0x101fff (memfd): dirty_log: Cannot allocate memory (12)");
    EXPECT_EQ(dirty(memory), (Ranges{{0_gpa, 8_KiB}}));
}

TEST_F(MemoryDirty, ASlotThatCannotLogEndsTheStartAndAllLogs) {
    must(memory.attach(slots));
    slots->failing = slots->calls + 2;
    EXPECT_EQ(code(memory.start_dirty_tracking()), ENOMEM);
    for (const auto& [slot, filled] : slots->filled) {
        EXPECT_FALSE(filled.flags.has(kvm::MemFlag::log_dirty_pages));
    }
    EXPECT_EQ(code(memory.collect_dirty()), EINVAL);
    must(memory.start_dirty_tracking());
    slots->failing = slots->calls + 1;
    EXPECT_EQ(code(memory.stop_dirty_tracking()), ENOMEM);
    EXPECT_TRUE(slots->filled.at(kvm::Slot(1)).flags.empty()) << "the others are asked, too";
    must(memory.start_dirty_tracking());
}

TEST_F(MemoryDirty, RegionsThatComeAreAllDirtyAndLog) {
    must(memory.start_dirty_tracking());
    must(memory.add_region({0x400000_gpa, 8_KiB}));
    must(memory.attach(slots));
    must(memory.add_region({0x500000_gpa, 4_KiB}));
    EXPECT_TRUE(slots->filled.at(kvm::Slot(0)).flags.has(kvm::MemFlag::log_dirty_pages));
    EXPECT_TRUE(slots->filled.at(kvm::Slot(4)).flags.has(kvm::MemFlag::log_dirty_pages));
    EXPECT_EQ(dirty(memory), (Ranges{{0x400000_gpa, 8_KiB}, {0x500000_gpa, 4_KiB}}));
    must(memory.write(0x500000_gpa, std::uint8_t(1)));
    must(memory.remove_region(0x500000_gpa));
    must(memory.write(0x401000_gpa, std::uint8_t(1)));
    EXPECT_EQ(dirty(memory), (Ranges{{0x401000_gpa, 4_KiB}}));
}

TEST_F(MemoryDirty, FilesThatAreMappedAndUnmappedAreWrites) {
    TempFile file(2);
    must(memory.start_dirty_tracking());
    must(memory.map_fd(0x2000_gpa, {.fd = file.fd(), .length = 8_KiB}));
    EXPECT_EQ(dirty(memory), (Ranges{{0x2000_gpa, 8_KiB}}));
    must(memory.unmap_fd(0_gpa, 1_MiB));
    EXPECT_EQ(dirty(memory), (Ranges{{0x2000_gpa, 8_KiB}}));
}

TEST_F(MemoryDirty, MarksOfHostileAddressesStayWithinMemory) {
    must(memory.start_dirty_tracking());
    const std::uint64_t last = ~std::uint64_t(0);
    memory.mark_dirty(kvm::Gpa(last), 1);
    memory.mark_dirty(kvm::Gpa(last), last);
    memory.mark_dirty(0x102000_gpa, 0xfe000);
    memory.mark_dirty(0_gpa, 0);
    (void)memory.write(kvm::Gpa(last), std::uint64_t(1));
    (void)memory.fill(kvm::Gpa(last - 3), last, std::byte(1));
    EXPECT_EQ(dirty(memory), Ranges());
    memory.mark_dirty(0x201fff_gpa, last);
    memory.mark_dirty(0xfffff_gpa, 1);
    EXPECT_EQ(dirty(memory), (Ranges{{0xff000_gpa, 4_KiB}, {0x201000_gpa, 4_KiB}}));
    memory.mark_dirty(0_gpa, last);
    EXPECT_EQ(dirty(memory),
              (Ranges{{0_gpa, 1_MiB}, {0x100000_gpa, 8_KiB}, {0x200000_gpa, 8_KiB}}));
}

/// A writer counts up in every page; the other side copies what is dirty, as a migration does, and
/// has it all in the end. Starts while the writer is at work: no write may slip through.
TEST_F(MemoryDirty, NoWriteIsMissedFromStartToEnd) {
    std::atomic<bool> stop = false;
    std::atomic<std::uint64_t> rounds = 0;
    std::thread writer([&] {
        for (std::uint32_t value = 1; !stop; ++value) {
            for (std::uint64_t page = 0; page < 32; ++page) {
                must(memory.write(kvm::Gpa(page * 4_KiB + value % 1000 * 4), value));
            }
            rounds.fetch_add(1);
        }
    });
    for (int i = 0; i < 20; ++i) {
        must(memory.start_dirty_tracking());
        std::vector<std::byte> copy(128_KiB);
        must(memory.read(0_gpa, std::span(copy)));
        const auto follow = [&] {
            for (const GuestRange& range : dirty(memory)) {
                must(memory.read(range.address,
                                 std::span(copy).subspan(range.address.value(), range.size)));
            }
        };
        const bool last = i == 19;
        for (const std::uint64_t until = rounds + 20; rounds < until;) {
            follow();
        }
        if (last) {
            stop = true;
            writer.join();
            follow();
            std::vector<std::byte> now(128_KiB);
            must(memory.read(0_gpa, std::span(now)));
            EXPECT_EQ(copy, now);
        }
        must(memory.stop_dirty_tracking());
    }
}

}  // namespace
}  // namespace vmm::test
