// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "memory_fixture.hpp"

namespace vmm::test {
namespace {

std::vector<int> first_bytes(const GuestMemory& memory, unsigned pages) {
    std::vector<int> bytes;
    for (unsigned i = 0; i < pages; ++i) {
        bytes.push_back(must(memory.read<std::uint8_t>(kvm::Gpa(i * 4_KiB))));
    }
    return bytes;
}

using Bytes = std::vector<int>;

TEST(MemoryMapFd, CopiesOnWriteAndGivesTheZeroesBack) {
    TempFile file(4);
    const auto memory = make({{0_gpa, 24_KiB}});
    must(memory.fill(0_gpa, 24_KiB, std::byte(0xff)));
    must(memory.map_fd(0x1000_gpa, {.fd = file.fd(), .offset = 4_KiB, .length = 12_KiB}));
    EXPECT_EQ(first_bytes(memory, 6), (Bytes{0xff, 2, 3, 4, 0xff, 0xff}));
    must(memory.write(0x1000_gpa, std::uint8_t(0xaa)));
    EXPECT_EQ(file.at(4096), 2);
    EXPECT_EQ(must(memory.host_span(0_gpa, 24_KiB)).size(), 24_KiB) << "one span as before";
    must(memory.unmap_fd(0x2000_gpa, 4_KiB));
    EXPECT_EQ(first_bytes(memory, 6), (Bytes{0xff, 0xaa, 0, 4, 0xff, 0xff}));
    must(memory.unmap_fd(0_gpa, 24_KiB));
    EXPECT_EQ(first_bytes(memory, 6), (Bytes{0xff, 0, 0, 0, 0xff, 0xff}));
    must(memory.unmap_fd(0_gpa, 24_KiB));
    EXPECT_EQ(first_bytes(memory, 6), (Bytes{0xff, 0, 0, 0, 0xff, 0xff}));
}

TEST(MemoryMapFd, SharesWhatIsWritten) {
    TempFile file(1);
    const auto memory = make({{0_gpa, 8_KiB}});
    must(memory.map_fd(0x1000_gpa, {.fd = file.fd(), .length = 4_KiB, .sharing = Sharing::shared}));
    must(memory.write(0x1001_gpa, std::uint8_t(0xaa)));
    EXPECT_EQ(file.at(1), 0xaa);
}

TEST(MemoryMapFd, ReadOnlyPartsAreRefusedToWritersAndCrossedByReaders) {
    TempFile file(1);
    const kvm::Fd fd(::open(file.path().c_str(), O_RDONLY | O_CLOEXEC));
    const auto memory = make({{0_gpa, 12_KiB}});
    must(memory.map_fd(
        0x1000_gpa,
        {.fd = fd, .length = 4_KiB, .sharing = Sharing::shared, .access = Access::read_only}));
    EXPECT_EQ(message(memory.write(0x1000_gpa, std::uint8_t(1))),
              "guest address 0x1000, 1 byte: read-only memory");
    EXPECT_EQ(code(memory.write(0xfff_gpa, std::uint16_t(1))), EROFS);
    EXPECT_EQ(code(memory.load(0x1000_gpa, std::as_bytes(std::span("x")))), EROFS);
    EXPECT_EQ(code(memory.host_span(0x1000_gpa, 1)), EROFS);
    EXPECT_EQ(must(memory.read<std::uint16_t>(0xfff_gpa)), 0x100);
    EXPECT_TRUE(memory.contains(0_gpa, 12_KiB));
    must(memory.write(0x2000_gpa, std::uint8_t(1)));
    // Over it, a part that can be written.
    must(memory.map_fd(0x1000_gpa, {.fd = fd, .length = 4_KiB}));
    must(memory.write(0x1000_gpa, std::uint8_t(7)));
    must(memory.unmap_fd(0x1000_gpa, 4_KiB));
    must(memory.write(0xfff_gpa, std::uint16_t(1)));
}

TEST(MemoryMapFd, PartsOverPartsAreCut) {
    TempFile file(5);
    const auto memory = make({{0_gpa, 20_KiB, backing::Memfd{}}});
    must(memory.fill(0_gpa, 20_KiB, std::byte(0xff)));
    must(memory.map_fd(0_gpa, {.fd = file.fd(), .length = 20_KiB, .access = Access::read_only}));
    must(memory.map_fd(0x2000_gpa, {.fd = file.fd(), .length = 4_KiB}));
    EXPECT_EQ(first_bytes(memory, 5), (Bytes{1, 2, 1, 4, 5}));
    must(memory.write(0x2000_gpa, std::uint8_t(9)));
    EXPECT_EQ(code(memory.write(0x3000_gpa, std::uint8_t(9))), EROFS);
    must(memory.unmap_fd(0x1000_gpa, 8_KiB));
    EXPECT_EQ(first_bytes(memory, 5), (Bytes{1, 0xff, 0xff, 4, 5})) << "the memfd kept its bytes";
    must(memory.write(0x1000_gpa, std::uint8_t(9)));
    EXPECT_EQ(code(memory.write(0_gpa, std::uint8_t(9))), EROFS);
    must(memory.unmap_fd(0_gpa, 20_KiB));
    EXPECT_EQ(first_bytes(memory, 5), (Bytes{0xff, 9, 0xff, 0xff, 0xff}));
}

TEST(MemoryMapFd, WhatCannotBeMappedIsAnErrorThatChangesNothing) {
    TempFile file(1);
    const kvm::Fd read_only(::open(file.path().c_str(), O_RDONLY | O_CLOEXEC));
    const auto memory = make({{0_gpa, 8_KiB}, {0x2000_gpa, 4_KiB}});
    must(memory.fill(0_gpa, 12_KiB, std::byte(0xff)));
    const auto before = Belongings::now();
    const auto code_of = [&](kvm::Gpa address, FilePart part) {
        return code(memory.map_fd(address, part));
    };
    EXPECT_EQ(code_of(0x1000_gpa, {.fd = file.fd(), .length = 8_KiB}), EFAULT) << "two regions";
    EXPECT_EQ(code_of(0x3000_gpa, {.fd = file.fd(), .length = 4_KiB}), EFAULT) << "no region";
    EXPECT_EQ(code_of(0_gpa, {.fd = file.fd(), .length = 8_KiB}), EINVAL) << "beyond the file";
    EXPECT_EQ(code_of(0_gpa, {.fd = file.fd(), .offset = ~0ull << 12, .length = 4_KiB}), EINVAL);
    EXPECT_EQ(code_of(0_gpa, {.fd = file.fd(), .length = ~0ull << 12}), EFAULT);
    EXPECT_EQ(code_of(0x800_gpa, {.fd = file.fd(), .length = 4_KiB}), EINVAL);
    EXPECT_EQ(code_of(0_gpa, {.fd = file.fd(), .length = 100}), EINVAL);
    EXPECT_EQ(code_of(0_gpa, {.fd = kvm::FdRef(-1), .length = 4_KiB}), EBADF);
    EXPECT_EQ(message(memory.map_fd(
                  0_gpa, {.fd = read_only, .length = 4_KiB, .sharing = Sharing::shared})),
              fmt::format("guest memory 0x0..0x1fff: descriptor {}: mmap: Permission denied",
                          read_only.number()));
    EXPECT_TRUE(memory.map_fd(0_gpa, {.fd = file.fd(), .length = 0}));
    EXPECT_EQ(code(memory.unmap_fd(0x1000_gpa, 8_KiB)), EFAULT);
    EXPECT_EQ(code(memory.unmap_fd(0x10_gpa, 8)), EINVAL);
    EXPECT_EQ(first_bytes(memory, 3), (Bytes{0xff, 0xff, 0xff}));
    EXPECT_EQ(Belongings::now(), before);
}

}  // namespace
}  // namespace vmm::test
