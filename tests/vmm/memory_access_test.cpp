// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "memory_fixture.hpp"

#include <sys/uio.h>

#include <thread>

/// Words, spans and hostile addresses.
namespace vmm::test {
namespace {

class MemoryAccess : public testing::Test {
protected:
    GuestMemory memory = make({{0x1000_gpa, 8_KiB},
                               {0x3000_gpa, 4_KiB, backing::Memfd{}},
                               {0x4000_gpa, 4_KiB, {}, Access::read_only},
                               {0x6000_gpa, 4_KiB}});
    std::vector<iovec> iov;
};

TEST_F(MemoryAccess, WordsOfRingsAreLoadedAndStoredAtOnce) {
    must(memory.store_release(0x1008_gpa, std::uint64_t(0x0102030405060708)));
    EXPECT_EQ(must(memory.load_acquire<std::uint64_t>(0x1008_gpa)), 0x0102030405060708u);
    EXPECT_EQ(must(memory.load_acquire<std::uint32_t>(0x1008_gpa)), 0x05060708u) << "little-endian";
    EXPECT_EQ(must(memory.load_acquire<std::uint16_t>(0x100e_gpa)), 0x0102u);
    must(memory.store_release(0x2ffe_gpa, std::uint16_t(5)));
    EXPECT_EQ(must(memory.load_acquire<std::uint16_t>(0x4000_gpa)), 0) << "read-only";
}

TEST_F(MemoryAccess, WordsThatCannotBeAccessedAtOnceAreErrorsThatSayWhy) {
    EXPECT_EQ(message(memory.load_acquire<std::uint32_t>(0x1002_gpa)),
              "guest address 0x1002, 4 bytes: not aligned");
    EXPECT_EQ(message(memory.store_release(0x2ffc_gpa, std::uint64_t(1))),
              "guest address 0x2ffc, 8 bytes: not aligned");
    EXPECT_EQ(message(memory.load_acquire<std::uint16_t>(0x5000_gpa)),
              "guest address 0x5000, 2 bytes: not all RAM");
    EXPECT_EQ(message(memory.store_release(0x4000_gpa, std::uint16_t(1))),
              "guest address 0x4000, 2 bytes: read-only memory");
    EXPECT_EQ(code(memory.store_release(0xffe_gpa, std::uint16_t(1))), EFAULT);
    EXPECT_EQ(code(memory.load_acquire<std::uint64_t>(kvm::Gpa(~7ull))), EFAULT);
    EXPECT_EQ(code(memory.load_acquire<std::uint64_t>(kvm::Gpa(~0ull))), EINVAL);
}

TEST_F(MemoryAccess, WhatWasStoredBeforeAReleaseIsSeenAfterAnAcquire) {
    std::thread other([&] {
        for (std::uint32_t i = 1; i <= 2000; ++i) {
            must(memory.write(0x1100_gpa, i));
            must(memory.store_release(0x1000_gpa, i));
        }
    });
    for (std::uint32_t seen = 0; seen < 2000;) {
        seen = must(memory.load_acquire<std::uint32_t>(0x1000_gpa));
        EXPECT_GE(must(memory.read<std::uint32_t>(0x1100_gpa)), seen);
    }
    other.join();
}

TEST_F(MemoryAccess, SpansCrossRegionsForReadvAndWritev) {
    must(memory.iovecs(0x2ff0_gpa, 0x20, Access::read_write, iov));
    ASSERT_EQ(iov.size(), 2u);
    EXPECT_EQ(iov[0].iov_base, must(memory.host_span(0x2ff0_gpa, 16)).data());
    EXPECT_EQ(iov[1].iov_base, must(memory.host_span(0x3000_gpa, 16)).data());
    EXPECT_EQ(iov[0].iov_len + iov[1].iov_len, 0x20u);
    TempFile file(1);
    EXPECT_EQ(::preadv(file.fd().number(), iov.data(), 2, 0), 0x20);
    EXPECT_EQ(must(memory.read<std::uint16_t>(0x2fff_gpa)), 0x101);
    must(memory.iovecs(0x1000_gpa, 0x4000, Access::read_only, iov));
    EXPECT_EQ(iov.size(), 5u) << "appended";
    must(memory.iovecs(0x5000_gpa, 0, Access::read_write, iov));
    EXPECT_EQ(iov.size(), 5u) << "no bytes are no pieces";
}

TEST_F(MemoryAccess, SpansThatAreNotAllThereLeaveWhatWasCollected) {
    must(memory.iovecs(0x1000_gpa, 1, Access::read_write, iov));
    EXPECT_EQ(code(memory.iovecs(0x3ff0_gpa, 0x20, Access::read_write, iov)), EROFS);
    EXPECT_EQ(code(memory.iovecs(0x4ff0_gpa, 0x20, Access::read_only, iov)), EFAULT);
    EXPECT_EQ(code(memory.iovecs(0x2000_gpa, ~0ull, Access::read_only, iov)), EFAULT);
    EXPECT_EQ(iov.size(), 1u);
}

/// What a guest may put into a descriptor.
TEST_F(MemoryAccess, HostileAddressesAndLengthsAreErrorsByEveryWay) {
    const std::uint64_t last = ~std::uint64_t(0);
    const std::pair<std::uint64_t, std::uint64_t> bad[] = {{0, 1},
                                                           {0, last},
                                                           {last, 1},
                                                           {last, 2},
                                                           {last, last},
                                                           {0x1000, last},
                                                           {0x1fff, last},
                                                           {0xfff, 2},
                                                           {0x4fff, 2},
                                                           {0x4fff, 0x1002},
                                                           {0x5000, 1},
                                                           {0x5fff, 2},
                                                           {0x6fff, 2},
                                                           {0x7000, 1},
                                                           {last - 0xfff, 0x2000},
                                                           {0x1000, last - 0xfff},
                                                           {0x6000, last - 0x5fff},
                                                           {1ull << 63, 1},
                                                           {1ull << 63, 1ull << 63},
                                                           {0x1000, 1ull << 63}};
    std::vector<std::byte> bytes(0x4000);
    for (const auto& [address, length] : bad) {
        const kvm::Gpa at(address);
        SCOPED_TRACE(fmt::format("{:#x}, {:#x} bytes", address, length));
        EXPECT_FALSE(memory.contains(at, length));
        EXPECT_EQ(code(memory.fill(at, length, std::byte(1))), EFAULT);
        EXPECT_EQ(code(memory.host_span(at, length)), EFAULT);
        EXPECT_EQ(code(memory.host_view(at, length)), EFAULT);
        EXPECT_EQ(code(memory.iovecs(at, length, Access::read_only, iov)), EFAULT);
        EXPECT_EQ(code(memory.iovecs(at, length, Access::read_write, iov)), EFAULT);
        if (length <= bytes.size()) {
            const auto some = std::span(bytes).first(length);
            EXPECT_EQ(code(memory.read(at, some)), EFAULT);
            EXPECT_EQ(code(memory.write(at, std::span<const std::byte>(some))), EFAULT);
            EXPECT_EQ(code(memory.load(at, some)), EFAULT);
        }
        if (length == 2) {
            EXPECT_EQ(code(memory.read<std::uint16_t>(at)), EFAULT);
            EXPECT_EQ(code(memory.write(at, std::uint16_t(1))), EFAULT);
        }
        memory.mark_dirty(at, length);
    }
    std::vector<std::byte> all(0x3000);
    must(memory.read(0x1000_gpa, std::span(all)));
    EXPECT_EQ(all, std::vector<std::byte>(0x3000)) << "nothing was written";
}

TEST_F(MemoryAccess, AMovedFromObjectHasNoMemory) {
    const GuestMemory other = std::move(memory);
    EXPECT_FALSE(memory.contains(0x1000_gpa, 1));
    EXPECT_EQ(code(memory.read<std::uint8_t>(0x1000_gpa)), EFAULT);
    EXPECT_TRUE(other.contains(0x1000_gpa, 1));
}

}  // namespace
}  // namespace vmm::test
