// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "script.hpp"

#include <support/pages.hpp>
#include <support/result.hpp>

namespace kvm::test {
namespace {

/// A slot of 130 pages behind the guest's own memory, and its dirty log.
class VmDirtyLog : public WithKvm {
protected:
    static constexpr Gpa base = Gpa(layout::memory_size);
    static constexpr u64 page_count = 130;
    using Bitmap = std::vector<u64>;

    /// Has the guest write to these pages, and then stop; again for each list.
    static void load_writes(Guest& guest, std::vector<std::vector<u64>> lists) {
        std::vector<Operation> script;
        for (const auto& list : lists) {
            for (const u64 page : list) {
                script.push_back({store1, base.value() + page * 4096 + page, 1});
            }
            script.push_back({});
        }
        load_script(guest, std::move(script));
    }
    static Bitmap bits(std::vector<u64> pages) {
        Bitmap bitmap(3);
        for (const u64 page : pages) {
            bitmap[page / 64] |= u64(1) << page % 64;
        }
        return bitmap;
    }
    Bitmap log(Vm& vm, const Memslot& slot) {
        Bitmap bitmap(3, 0xdead);
        must(vm.dirty_log(slot, bitmap));
        return bitmap;
    }

    Pages pages_{page_count};
};

TEST_F(VmDirtyLog, NamesExactlyThePagesWrittenSinceTheLastCall) {
    Guest guest(kvm());
    Memslot slot =
        must(guest.vm().add_memory(Slot(1), base, pages_.bytes(), MemFlag::log_dirty_pages));
    EXPECT_EQ(slot.bitmap_words(), 3u);
    load_writes(guest, {{0, 3, 63, 64, 129}, {3}});
    guest.run_to_stop();
    EXPECT_EQ(log(guest.vm(), slot), bits({0, 3, 63, 64, 129}));
    EXPECT_EQ(log(guest.vm(), slot), bits({}));
    guest.run_to_stop();
    EXPECT_EQ(log(guest.vm(), slot), bits({3}));
}

TEST_F(VmDirtyLog, LoggingStartsAndEndsWithTheSlotsFlags) {
    Guest guest(kvm());
    Memslot slot = must(guest.vm().add_memory(Slot(1), base, pages_.bytes()));
    load_writes(guest, {{1}, {2}, {4}});
    Bitmap bitmap(3);
    EXPECT_ERRNO(guest.vm().dirty_log(slot, bitmap), ENOENT);
    guest.run_to_stop();
    ASSERT_OK(guest.vm().set_memory_flags(slot, MemFlag::log_dirty_pages));
    EXPECT_EQ(slot.flags(), Flags(MemFlag::log_dirty_pages));
    guest.run_to_stop();
    EXPECT_EQ(log(guest.vm(), slot), bits({2}));
    ASSERT_OK(guest.vm().set_memory_flags(slot, {}));
    EXPECT_ERRNO(guest.vm().dirty_log(slot, bitmap), ENOENT);
    guest.run_to_stop();
}

TEST_F(VmDirtyLog, ABitmapThatIsTooShortIsRefusedAndNothingBehindItTouched) {
    Guest guest(kvm());
    Memslot slot =
        must(guest.vm().add_memory(Slot(1), base, pages_.bytes(), MemFlag::log_dirty_pages));
    load_writes(guest, {{0, 64, 129}});
    guest.run_to_stop();
    Bitmap bitmap(8, 0xdead);
    const auto done = guest.vm().dirty_log(slot, std::span(bitmap).first(2));
    ASSERT_ERRNO(done, EMSGSIZE);
    EXPECT_EQ(done.error().detail, 1u);
    EXPECT_EQ(bitmap, Bitmap(8, 0xdead));
    ASSERT_OK(guest.vm().dirty_log(slot, bitmap));
    const Bitmap expected = bits({0, 64, 129});
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), bitmap.begin()));
    EXPECT_EQ(Bitmap(bitmap.begin() + 3, bitmap.end()), Bitmap(5, 0xdead));
}

TEST_F(VmDirtyLog, WithManualProtectTheLogStaysUntilItIsCleared) {
    REQUIRE_CAP(kvm(), cap::manual_dirty_log_protect2, ManualDirtyLogFlag::enable);
    Guest guest(kvm());
    must(guest.vm().enable(cap::manual_dirty_log_protect2, ManualDirtyLogFlag::enable));
    Memslot slot =
        must(guest.vm().add_memory(Slot(1), base, pages_.bytes(), MemFlag::log_dirty_pages));
    load_writes(guest, {{5, 64, 70, 129}, {64}});
    guest.run_to_stop();
    EXPECT_EQ(log(guest.vm(), slot), bits({5, 64, 70, 129}));
    EXPECT_EQ(log(guest.vm(), slot), bits({5, 64, 70, 129})) << "reading clears nothing";
    const u64 second_word[] = {1};  // page 64 of 64 to 127
    ASSERT_OK(guest.vm().clear_dirty_log(slot, 64, 64, second_word));
    EXPECT_EQ(log(guest.vm(), slot), bits({5, 70, 129}));
    const u64 last[] = {3};  // the slot's end needs no multiple of 64
    ASSERT_OK(guest.vm().clear_dirty_log(slot, 128, 2, last));
    EXPECT_EQ(log(guest.vm(), slot), bits({5, 70}));
    guest.run_to_stop();
    EXPECT_EQ(log(guest.vm(), slot), bits({5, 64, 70}));
}

TEST_F(VmDirtyLog, ClearingChecksItsRange) {
    REQUIRE_CAP(kvm(), cap::manual_dirty_log_protect2, ManualDirtyLogFlag::enable);
    Guest guest(kvm());
    must(guest.vm().enable(cap::manual_dirty_log_protect2, ManualDirtyLogFlag::enable));
    Memslot slot =
        must(guest.vm().add_memory(Slot(1), base, pages_.bytes(), MemFlag::log_dirty_pages));
    const Bitmap bitmap(3);
    EXPECT_ERRNO(guest.vm().clear_dirty_log(slot, 0, 65, std::span(bitmap).first(1)), EMSGSIZE);
    EXPECT_ERRNO(guest.vm().clear_dirty_log(slot, 1, 64, bitmap), EINVAL);
    EXPECT_ERRNO(guest.vm().clear_dirty_log(slot, 0, 63, bitmap), EINVAL);
    EXPECT_ERRNO(guest.vm().clear_dirty_log(slot, 192, 64, bitmap), EINVAL);
    EXPECT_OK(guest.vm().clear_dirty_log(slot, 0, 130, bitmap));
}

}  // namespace
}  // namespace kvm::test
