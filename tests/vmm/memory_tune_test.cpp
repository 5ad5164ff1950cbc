// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "memory_fixture.hpp"

#include <iostream>
#include <sstream>

namespace vmm::test {
namespace {

/// How many of the pages are in the host's memory.
unsigned resident(const GuestMemory& memory, kvm::Gpa address, std::uint64_t size) {
    const auto span = must(memory.host_view(address, size));
    std::vector<unsigned char> pages(size / 4096);
    EXPECT_EQ(::mincore(const_cast<std::byte*>(span.data()), size, pages.data()), 0);
    return unsigned(std::ranges::count_if(pages, [](unsigned char page) { return page & 1; }));
}

class MemoryTuning : public testing::Test {
protected:
    TempFile file{4};
    GuestMemory memory = make({
        {0_gpa, 16_KiB},
        {0x4000_gpa, 16_KiB, backing::Memfd{}},
        {0x8000_gpa, 16_KiB, backing::File{.path = file.path(), .sharing = Sharing::shared}},
        {0xc000_gpa, 16_KiB, backing::File{.path = file.path()}},
        {0x10000_gpa, 16_KiB, {}, Access::read_only},
    });
    static constexpr std::uint64_t all = 80_KiB;
};

TEST_F(MemoryTuning, PrefaultedPagesAreThereAndUnchanged) {
    must(memory.write(0x1000_gpa, std::uint8_t(5)));
    must(
        memory.map_fd(0x2000_gpa, {.fd = file.fd(), .length = 4_KiB, .access = Access::read_only}));
    must(memory.advise(0_gpa, 8_KiB, Advice::no_huge));
    must(memory.prefault(0_gpa, all));
    EXPECT_EQ(resident(memory, 0_gpa, 8_KiB), 2u);
    EXPECT_EQ(resident(memory, 0x4000_gpa, 16_KiB), 4u);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x1000_gpa)), 5);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x2000_gpa)), 1);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0xd000_gpa)), 2);
}

TEST(MemoryPrefault, OfManyPagesTellsHowFarItIsAndCanBeEnded) {
    const auto memory = make({{0_gpa, 160_MiB}});
    std::vector<std::uint64_t> heard;
    must(memory.prefault(0_gpa, 160_MiB, [&](std::uint64_t done) {
        heard.push_back(done);
        return true;
    }));
    EXPECT_EQ(heard, (std::vector<std::uint64_t>{64_MiB, 128_MiB, 160_MiB}));
    EXPECT_EQ(code(memory.prefault(0_gpa, 160_MiB, [](std::uint64_t) { return false; })),
              ECANCELED);
}

TEST_F(MemoryTuning, BalloonsGiveTheirPagesBackAndComeBackAsZeroesOrTheFile) {
    must(memory.fill(0_gpa, 64_KiB, std::byte(9)));
    must(memory.inflate(0_gpa, 64_KiB));
    EXPECT_EQ(resident(memory, 0x4000_gpa, 16_KiB), 0u);
    must(memory.deflate(0_gpa, 64_KiB));
    EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 0);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x4000_gpa)), 0);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x8000_gpa)), 0) << "a hole in a shared file";
    EXPECT_EQ(must(memory.read<std::uint8_t>(0xc000_gpa)), 0) << "the same file, private";
    EXPECT_EQ(file.at(0), 0);
    EXPECT_EQ(code(memory.inflate(0x10000_gpa, 4_KiB)), EROFS);
}

TEST_F(MemoryTuning, BalloonsLeaveTheFilesAloneThatMapFdMapped) {
    TempFile kernel(2);
    must(memory.map_fd(0x5000_gpa, {.fd = kernel.fd(), .length = 4_KiB}));
    must(memory.map_fd(0x6000_gpa,
                       {.fd = kernel.fd(), .length = 4_KiB, .sharing = Sharing::shared}));
    must(memory.fill(0x4000_gpa, 8_KiB, std::byte(9)));
    must(memory.inflate(0x4000_gpa, 16_KiB));
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x4000_gpa)), 0);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x5000_gpa)), 1) << "the file's, the copy is gone";
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x6000_gpa)), 1);
    EXPECT_EQ(kernel.at(0), 1);
}

TEST_F(MemoryTuning, LockedPagesAreThereAndNoBalloonTakesThem) {
    must(memory.advise(0_gpa, 16_KiB, Advice::no_huge));
    must(memory.lock(0_gpa, 8_KiB));
    must(memory.lock(0x2000_gpa, 4_KiB, Locking::on_touch));
    EXPECT_EQ(resident(memory, 0_gpa, 8_KiB), 2u);
    EXPECT_EQ(message(memory.inflate(0_gpa, 4_KiB)),
              "guest memory 0x0..0x3fff: MADV_DONTNEED: Invalid argument");
    must(memory.unlock(0_gpa, 16_KiB));
    if (!sanitized) {  // sanitizers make munlock(2) do nothing
        must(memory.inflate(0_gpa, 4_KiB));
    }
}

/// The flags of the mapping with this address, VmFlags of proc(5): " rd wr mr ". Empty if the
/// kernel does not tell.
std::string flags_at(const void* place) {
    std::ifstream smaps("/proc/self/smaps");
    const auto wanted = reinterpret_cast<std::uintptr_t>(place);
    bool here = false;
    for (std::string line; std::getline(smaps, line);) {
        std::uintptr_t begin = 0, end = 0;
        char dash = 0;
        std::istringstream words(line);
        if (words >> std::hex >> begin >> dash >> end && dash == '-') {
            here = begin <= wanted && wanted < end;
        } else if (here && line.starts_with("VmFlags:")) {
            return line.substr(8) + " ";
        }
    }
    return {};
}

TEST_F(MemoryTuning, AdviceOfAMappingIsSeenInItsFlags) {
    const void* const place = must(memory.host_view(0_gpa, 4_KiB)).data();
    if (flags_at(place).empty()) {
        GTEST_SKIP() << "this kernel has no /proc/self/smaps";
    }
    const auto advised = [&](Advice advice, const char* flag) {
        const auto done = memory.advise(0_gpa, 16_KiB, advice);
        if (!done) {  // a kernel without KSM or huge pages; the next test is of that
            std::cout << message(done) << "\n";
            return std::optional<bool>();
        }
        return std::optional(has(flags_at(place), flag));
    };
    EXPECT_TRUE(*advised(Advice::no_dump, " dd "));
    EXPECT_FALSE(*advised(Advice::dump, " dd "));
    EXPECT_TRUE(*advised(Advice::no_fork, " dc "));
    EXPECT_FALSE(*advised(Advice::fork, " dc "));
    EXPECT_TRUE(advised(Advice::no_huge, " nh ").value_or(true));
    EXPECT_TRUE(advised(Advice::huge, " hg ").value_or(true));
    EXPECT_TRUE(advised(Advice::merge, " mg ").value_or(true));
    EXPECT_FALSE(advised(Advice::unmerge, " mg ").value_or(false));
}

// Of cold, page_out, free, will_need and collapse nothing is to be seen at once that the kernel
// promises: they may do nothing. So what can be said of them is that the kernel took them.
TEST_F(MemoryTuning, EveryAdviceIsTheKernelsToTakeOrRefuseByName) {
    for (const Advice advice :
         {Advice::cold, Advice::page_out, Advice::no_dump, Advice::dump, Advice::no_fork,
          Advice::fork, Advice::no_huge, Advice::free, Advice::will_need}) {
        const auto done = memory.advise(0_gpa, 16_KiB, advice);
        // An anonymous mapping has nothing to read.
        EXPECT_TRUE(done || advice == Advice::will_need) << int(advice) << message(done);
    }
    for (const Advice advice : {Advice::merge, Advice::unmerge, Advice::huge, Advice::collapse}) {
        const auto done = memory.advise(0_gpa, 16_KiB, advice);
        EXPECT_TRUE(done || has(message(done), "guest memory 0x0..0x3fff: MADV_")) << message(done);
    }
    EXPECT_EQ(message(memory.advise(0_gpa, 20_KiB, Advice::free)),
              "guest memory 0x4000..0x7fff (memfd): MADV_FREE: Invalid argument");
}

// A shared mapping is the page cache, so that the file has what was written before it is synced, as
// long as the host lives: that sync() succeeds is all that is seen. memory_fault_test.cpp has
// msync(2) fail.
TEST_F(MemoryTuning, SyncedFilesHaveWhatWasWritten) {
    must(memory.write(0x8001_gpa, std::uint8_t(0xaa)));
    must(memory.sync(0_gpa, all));
    must(memory.sync(0x8000_gpa, 4_KiB, Sync::start));
    EXPECT_EQ(file.at(1), 0xaa);
}

TEST_F(MemoryTuning, RangesThatAreNotAllPagesOfMemoryAreRefusedUntouched) {
    must(memory.fill(0_gpa, 64_KiB, std::byte(9)));
    const auto refused = [&](kvm::Gpa address, std::uint64_t length, int wanted) {
        EXPECT_EQ(code(memory.inflate(address, length)), wanted);
        EXPECT_EQ(code(memory.deflate(address, length)), wanted);
        EXPECT_EQ(code(memory.lock(address, length)), wanted);
        EXPECT_EQ(code(memory.unlock(address, length)), wanted);
        EXPECT_EQ(code(memory.advise(address, length, Advice::free)), wanted);
        EXPECT_EQ(code(memory.sync(address, length)), wanted);
        EXPECT_EQ(code(memory.prefault(address, length)), wanted);
    };
    refused(0_gpa, all + 4_KiB, EFAULT);
    refused(0_gpa, ~0ull << 12, EFAULT);
    refused(kvm::Gpa(~0ull << 12), 4_KiB, EFAULT);
    refused(kvm::Gpa(~0ull << 12), 8_KiB, EFAULT);
    refused(0x100000_gpa, 4_KiB, EFAULT);
    refused(0x10_gpa, 4_KiB, EINVAL);
    refused(0_gpa, 100, EINVAL);
    must(memory.inflate(0x100000_gpa, 0));
    EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 9);
}

TEST_F(MemoryTuning, BalloonsAreWritesToThoseWhoTrackThem) {
    must(memory.start_dirty_tracking());
    must(memory.inflate(0x1000_gpa, 4_KiB));
    const auto dirty = must(memory.collect_dirty());
    EXPECT_EQ(dirty.at(0).ranges(), (std::vector<GuestRange>{{0x1000_gpa, 4_KiB}}));
}

}  // namespace
}  // namespace vmm::test
