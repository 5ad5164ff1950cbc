// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "memory_fixture.hpp"

#include <sys/file.h>
#include <sys/stat.h>

namespace vmm::test {
namespace {

TEST(MemoryBacking, MemfdsAreZeroAndHoldWhatWasWritten) {
    const auto memory = make({{0x1000_gpa, 64_KiB, backing::Memfd{}}});
    EXPECT_EQ(must(memory.read<std::uint64_t>(0x1000_gpa)), 0u);
    must(memory.write(0x1008_gpa, std::uint64_t(7)));
    EXPECT_EQ(must(memory.read<std::uint64_t>(0x1008_gpa)), 7u);
}

TEST(MemoryBacking, SharedRegionsAreTheSameMemoryInAnotherMapping) {
    TempFile file(2);
    const auto memory =
        make({{0_gpa, 4_KiB},
              {0x2000_gpa, 8_KiB, backing::Memfd{.name = "kvmxx-test"}},
              {0x8000_gpa, 4_KiB,
               backing::File{.path = file.path(), .offset = 4096, .sharing = Sharing::shared}}});
    const auto shared = memory.shared_regions();
    ASSERT_EQ(shared.size(), 2u);
    EXPECT_EQ(shared[0].address, 0x2000_gpa);
    EXPECT_EQ(shared[0].size, 8_KiB);
    EXPECT_EQ(shared[0].offset, 0u);
    EXPECT_EQ(shared[1].address, 0x8000_gpa);
    EXPECT_EQ(shared[1].offset, 4096u);
    EXPECT_EQ(shared[1].host, must(memory.host_span(0x8000_gpa, 1)).data());
    must(memory.write(0x3000_gpa, std::uint8_t(9)));
    unsigned char byte = 0;
    EXPECT_EQ(::pread(shared[0].fd.number(), &byte, 1, 0x1000), 1);
    EXPECT_EQ(byte, 9);
}

TEST(MemoryBacking, MemfdsCannotBeCutShortByThoseWhoShareThem) {
    const auto memory = make({{0_gpa, 64_KiB, backing::Memfd{}}});
    const int fd = memory.shared_regions().at(0).fd.number();
    EXPECT_EQ(::ftruncate(fd, 0), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), 0) << "further seals are the caller's choice";
}

TEST(MemoryBacking, PrivateFilesAreReadAndKeepTheirBytes) {
    TempFile file(3);
    const auto memory = make({{0_gpa, 8_KiB, backing::File{.path = file.path(), .offset = 4096}}});
    EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 2);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x1fff_gpa)), 3);
    must(memory.write(0_gpa, std::uint8_t(0xaa)));
    EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 0xaa);
    EXPECT_EQ(file.at(4096), 2);
    EXPECT_TRUE(memory.shared_regions().empty());
}

TEST(MemoryBacking, SharedFilesGetWhatIsWritten) {
    TempFile file(1);
    {
        const auto memory =
            make({{0_gpa, 4_KiB, backing::File{.path = file.path(), .sharing = Sharing::shared}}});
        must(memory.write(5_gpa, std::uint8_t(0xaa)));
    }
    EXPECT_EQ(file.at(5), 0xaa);
}

TEST(MemoryBacking, FilesCanBeGivenAsDescriptorsWhichStayTheCallers) {
    TempFile file(1);
    {
        const auto memory = make({{0_gpa, 4_KiB, backing::File{.fd = file.fd().number()}}});
        EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 1);
    }
    EXPECT_EQ(file.at(0), 1) << "not closed";
}

TEST(MemoryBacking, AFileThatEndsWithinItsLastPageIsFollowedByZeroes) {
    TempFile file(2);
    ASSERT_EQ(::ftruncate(file.fd().number(), 4097), 0);
    const auto memory = make({{0_gpa, 8_KiB, backing::File{.path = file.path()}}});
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x1000_gpa)), 2);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x1001_gpa)), 0);
}

TEST(MemoryBacking, FilesThatCannotServeAreRefusedByNameAndCause) {
    TempFile file(1);
    const auto with = [](backing::File backing) { return refusal({{0_gpa, 8_KiB, backing}}); };
    EXPECT_EQ(with({.path = "/nowhere/at/all"}),
              "guest memory 0x0..0x1fff (file /nowhere/at/all): No such file or directory");
    EXPECT_EQ(with({.path = file.path()}),
              "guest memory 0x0..0x1fff (file " + file.path() +
                  "): 0x2000 bytes from offset 0x0 wanted, the file has 0x1000");
    EXPECT_TRUE(has(with({.path = file.path(), .offset = ~0ull << 12}), "the file has 0x1000"));
    EXPECT_TRUE(has(with({.path = file.path(), .offset = 1}), "offset 0x1 is not in pages"));
    EXPECT_TRUE(has(with({.path = "/dev/null"}), "not a regular file"));
    EXPECT_TRUE(has(with({.path = "/tmp"}), "not a regular file"));
    EXPECT_TRUE(has(with({.path = "/tmp", .sharing = Sharing::shared}), "Is a directory"));
    EXPECT_TRUE(has(with({.fd = 12345}), "(file descriptor 12345): Bad file descriptor"));
    const std::string fifo = file.path() + ".fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_TRUE(has(with({.path = fifo}), "not a regular file")) << "nor waited for";
    ::unlink(fifo.c_str());
}

TEST(MemoryBacking, ASharedFileThatCannotBeWrittenIsForReadOnlyRegions) {
    TempFile file(1);
    const kvm::Fd read_only(::open(file.path().c_str(), O_RDONLY | O_CLOEXEC));
    const backing::File backing{.fd = read_only.number(), .sharing = Sharing::shared};
    EXPECT_TRUE(has(refusal({{0_gpa, 4_KiB, backing}}), "mmap: Permission denied"));
    const auto memory = make({{0_gpa, 4_KiB, backing, Access::read_only}});
    EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 1);
    EXPECT_EQ(code(memory.write(0_gpa, std::uint8_t(1))), EROFS);
    EXPECT_EQ(code(memory.load(0_gpa, std::as_bytes(std::span("x")))), EROFS);
    EXPECT_EQ(code(memory.host_span(0_gpa, 1)), EROFS);
}

TEST(MemoryBacking, HugePagesThatNobodyReservedAreAnErrorThatSaysHow) {
    const auto refused = GuestMemory::create(std::array{Region{0_gpa, 64_GiB, backing::HugeTlb{}}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ENOMEM);
    EXPECT_TRUE(has(message(refused), "guest memory 0x0..0xfffffffff (huge pages of 2 MiB): mmap"));
    EXPECT_TRUE(has(message(refused), "32768 of 2 MiB wanted")) << message(refused);
    EXPECT_TRUE(has(message(refused),
                    "> /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages reserves more"));
    const auto huge = refusal(
        {{0_gpa, 64_GiB, backing::HugeTlb{.page = HugePage::gib_1, .sharing = Sharing::shared}}});
    EXPECT_TRUE(has(huge, "1 GiB")) << huge;
    EXPECT_NE(huge, "succeeded");
}

TEST(MemoryBacking, HugePagesWantWholePages) {
    EXPECT_TRUE(has(refusal({{0_gpa, 3_MiB, backing::HugeTlb{}}}), "no multiples"));
    EXPECT_TRUE(has(refusal({{0x1000_gpa, 2_MiB, backing::HugeTlb{}}}), "no multiples"));
    EXPECT_TRUE(
        has(refusal({{0_gpa, 2_MiB, backing::HugeTlb{.page = HugePage::gib_1}}}), "no multiples"));
    EXPECT_TRUE(has(refusal({{0_gpa, 2_MiB, backing::HugeTlb{.page = HugePage(4096)}}}),
                    "of 2 MiB or of 1 GiB"));
}

/// Reserves huge pages of 2 MiB while a test runs; skips where that needs another user. One test
/// of all that run at once does so at a time.
class HugePages : public testing::Test {
protected:
    void SetUp() override {
        if (!lock_.valid() || ::flock(lock_.number(), LOCK_EX) != 0) {
            GTEST_SKIP() << "this kernel has no huge pages of 2 MiB";
        }
        std::ifstream(pool_) >> before_;
        const unsigned wanted = before_ + 8;
        unsigned after = 0;
        if (std::ofstream(pool_) << wanted << std::flush) {
            std::ifstream(pool_) >> after;
        }
        if (after < wanted) {
            GTEST_SKIP() << "needs 8 huge pages of 2 MiB, which this user cannot reserve here";
        }
    }
    void TearDown() override { std::ofstream(pool_) << before_ << std::flush; }

private:
    const char* pool_ = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    kvm::Fd lock_{::open(pool_, O_RDONLY | O_CLOEXEC)};
    unsigned before_ = 0;
};

TEST_F(HugePages, AreMemoryPrivateAndShared) {
    const auto memory =
        make({{kvm::Gpa(2_MiB), 4_MiB, backing::HugeTlb{}},
              {kvm::Gpa(8_MiB), 2_MiB, backing::HugeTlb{.sharing = Sharing::shared}}});
    must(memory.fill(kvm::Gpa(2_MiB), 4_MiB, std::byte(3)));
    EXPECT_EQ(must(memory.read<std::uint8_t>(kvm::Gpa(6_MiB - 1))), 3);
    must(memory.write(kvm::Gpa(8_MiB), std::uint8_t(4)));
    ASSERT_EQ(memory.shared_regions().size(), 1u);
    const auto host = memory.shared_regions()[0].host;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(host) % 2_MiB, 0u);
}

TEST_F(HugePages, TakeFilesInWholePagesOnlyAndComeBack) {
    const auto memory = make({{0_gpa, 4_MiB, backing::HugeTlb{}}});
    must(memory.fill(0_gpa, 4_MiB, std::byte(3)));
    const auto other = make({{0_gpa, 2_MiB, backing::Memfd{}}});
    must(other.fill(0_gpa, 2_MiB, std::byte(5)));
    const kvm::FdRef fd = other.shared_regions()[0].fd;
    EXPECT_EQ(code(memory.map_fd(0_gpa, {.fd = fd, .length = 4096})), EINVAL);
    must(memory.map_fd(kvm::Gpa(2_MiB), {.fd = fd, .length = 2_MiB}));
    EXPECT_EQ(must(memory.read<std::uint8_t>(kvm::Gpa(2_MiB))), 5);
    EXPECT_EQ(must(memory.read<std::uint8_t>(kvm::Gpa(2_MiB - 1))), 3);
    must(memory.unmap_fd(0_gpa, 4_MiB));
    EXPECT_EQ(must(memory.read<std::uint8_t>(kvm::Gpa(2_MiB))), 0);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 3);
}

TEST(MemoryBacking, ReadOnlyRegionsTakeOnlyWhatIsLoaded) {
    const auto memory = make({{0_gpa, 4_KiB}, {0x1000_gpa, 4_KiB, {}, Access::read_only}});
    const std::array<std::byte, 16> bytes{std::byte(1), std::byte(2)};
    EXPECT_EQ(message(memory.write(0x1000_gpa, std::uint8_t(1))),
              "guest address 0x1000, 1 byte: read-only memory");
    EXPECT_EQ(code(memory.write(0x1000_gpa, std::span(bytes))), EROFS);
    EXPECT_EQ(code(memory.write(0xff8_gpa, std::span(bytes))), EROFS) << "half of it";
    EXPECT_EQ(must(memory.read<std::uint8_t>(0xff8_gpa)), 0) << "nothing is written";
    EXPECT_EQ(code(memory.fill(0x1000_gpa, 1, std::byte(1))), EROFS);
    EXPECT_EQ(code(memory.host_span(0x1000_gpa, 1)), EROFS);
    must(memory.load(0xff8_gpa, bytes));
    EXPECT_EQ(must(memory.read<std::uint16_t>(0xff8_gpa)), 0x0201);
    must(memory.load(0x1000_gpa, bytes));
    EXPECT_EQ(must(memory.read<std::uint16_t>(0x1000_gpa)), 0x0201);
    EXPECT_EQ(must(memory.host_view(0x1000_gpa, 2))[1], std::byte(2));
    EXPECT_EQ(code(memory.load(0x1ff8_gpa, bytes)), EFAULT);
    EXPECT_TRUE(memory.contains(0x1000_gpa, 4096));
}

TEST(MemoryBacking, PrivateFilesOfReadOnlyRegionsCanBeLoadedOver) {
    TempFile file(1);
    const auto memory =
        make({{0_gpa, 4_KiB, backing::File{.path = file.path()}, Access::read_only}});
    must(memory.load(0_gpa, std::as_bytes(std::span("x", 1))));
    EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 'x');
    EXPECT_EQ(file.at(0), 1);
}

TEST(MemoryBacking, WhatFailsLeavesNothingBehind) {
    TempFile file(1);
    (void)refusal({{0_gpa, 4_KiB}});
    const auto before = Belongings::now();
    EXPECT_NE(refusal({{0_gpa, 4_KiB, backing::Memfd{}},
                       {0x1000_gpa, 4_KiB, backing::File{.path = file.path()}},
                       {0x2000_gpa, 8_KiB, backing::File{.path = file.path()}}}),
              "succeeded");
    EXPECT_NE(refusal({{0_gpa, 4_KiB, backing::Memfd{}},
                       {kvm::Gpa(64_GiB), 64_GiB, backing::HugeTlb{.sharing = Sharing::shared}}}),
              "succeeded");
    EXPECT_EQ(Belongings::now(), before);
    {
        const auto memory = make({{0_gpa, 4_KiB, backing::Memfd{}}, {0x1000_gpa, 4_KiB}});
    }
    EXPECT_EQ(Belongings::now(), before);
}

}  // namespace
}  // namespace vmm::test
