// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/virtio_queue_fixture.hpp>

namespace vmm::test {
namespace {

class VirtioChain : public ::testing::Test {
protected:
    /// Neighbours, a hole, and memory that is read-only.
    GuestMemory memory = make({{0_gpa, 0x2000},
                               {0x2000_gpa, 0x1000},
                               {0x4000_gpa, 0x1000},
                               {0x8000_gpa, 0x1000, backing::Anonymous{}, Access::read_only}});
    std::array<std::byte, 64> data{};

    std::span<std::byte> first(std::size_t count) { return std::span(data).first(count); }
    void fill(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            data[i] = std::byte(i + 1);
        }
    }
};

TEST_F(VirtioChain, is_read_and_written_across_its_buffers_from_any_offset) {
    const std::vector<Buffer> buffers{{0x1ffe_gpa, 4}, {0x100_gpa, 0}, {0x4010_gpa, 3}, {0_gpa, 9}};
    for (std::size_t offset = 0; offset <= 16; ++offset) {
        for (std::size_t length = 0; offset + length <= 16; ++length) {
            fill(length);
            must(write(memory, buffers, offset, first(length)));
            const std::vector<std::byte> before(data.begin(), data.end());
            data.fill(std::byte(0xee));
            must(read(memory, buffers, offset, first(length)));
            ASSERT_TRUE(
                std::equal(data.begin(), data.begin() + std::ptrdiff_t(length), before.begin()));
        }
    }
    fill(16);
    must(write(memory, buffers, 0, first(16)));
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x2001_gpa)), 4);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x4012_gpa)), 7);
    EXPECT_EQ(must(memory.read<std::uint8_t>(8_gpa)), 16);
    EXPECT_EQ(must(memory.read<std::uint8_t>(9_gpa)), 0);
}

TEST_F(VirtioChain, that_is_too_short_says_so) {
    const std::vector<Buffer> buffers{{0_gpa, 4}, {0x100_gpa, 4}};
    EXPECT_EQ(code(read(memory, buffers, 4, first(5))), ENODATA);
    EXPECT_EQ(message(write(memory, buffers, 9, first(1))),
              "buffers of 8 bytes: there are no 1 from offset 9 on");
    EXPECT_EQ(code(read(memory, buffers, ~std::uint64_t(0), first(1))), ENODATA);
    EXPECT_EQ(code(read(memory, {}, 0, first(1))), ENODATA);
    EXPECT_EQ(code(read(memory, {}, 0, first(0))), -1);
}

TEST_F(VirtioChain, outside_memory_is_an_error_wherever_it_is) {
    for (const Buffer bad : {Buffer{0x3000_gpa, 1}, Buffer{0x2fff_gpa, 2}, Buffer{0x3fff_gpa, 2},
                             Buffer{0x4ff0_gpa, 0xffffffff}, Buffer{kvm::Gpa(~0ull), 1},
                             Buffer{kvm::Gpa(~0ull), 0xffffffff}}) {
        const std::vector<Buffer> buffers{{0_gpa, 4}, bad};
        const std::size_t all = std::min<std::size_t>(4 + bad.length, 64);
        std::vector<iovec> out(1);
        EXPECT_EQ(code(iovecs(memory, buffers, 0, 4ull + bad.length, Access::read_write, out)),
                  EFAULT);
        EXPECT_EQ(out.size(), 1u);
        if (bad.length < 60) {
            EXPECT_EQ(code(read(memory, buffers, 0, first(all))), EFAULT);
            EXPECT_EQ(code(write(memory, buffers, 0, first(all))), EFAULT);
        }
        EXPECT_EQ(code(read(memory, buffers, 0, first(4))), -1);  // what is good is
    }
}

TEST_F(VirtioChain, in_read_only_memory_is_read_and_not_written) {
    const std::vector<Buffer> buffers{{0x8000_gpa, 8}};
    std::vector<iovec> out;
    EXPECT_EQ(code(read(memory, buffers, 0, first(8))), -1);
    EXPECT_EQ(code(write(memory, buffers, 0, first(8))), EROFS);
    EXPECT_EQ(code(iovecs(memory, buffers, 0, 8, Access::read_write, out)), EROFS);
    EXPECT_EQ(code(iovecs(memory, buffers, 0, 8, Access::read_only, out)), -1);
    EXPECT_EQ(out.size(), 1u);
}

TEST_F(VirtioChain, gives_the_host_a_vector_for_each_piece) {
    const std::vector<Buffer> buffers{{0x1ff0_gpa, 32}, {0x4000_gpa, 0}, {0x4000_gpa, 8}};
    std::vector<iovec> out;
    must(iovecs(memory, buffers, 8, 30, Access::read_write, out));
    ASSERT_EQ(out.size(), 3u);
    EXPECT_EQ(out[0].iov_base, must(memory.host_span(0x1ff8_gpa, 8)).data());
    EXPECT_EQ(out[0].iov_len, 8u);
    EXPECT_EQ(out[1].iov_base, must(memory.host_span(0x2000_gpa, 16)).data());
    EXPECT_EQ(out[1].iov_len, 16u);
    EXPECT_EQ(out[2].iov_base, must(memory.host_span(0x4000_gpa, 6)).data());
    EXPECT_EQ(out[2].iov_len, 6u);
}

TEST_F(VirtioChain, tells_which_pages_others_wrote) {
    must(memory.start_dirty_tracking());
    const std::vector<Buffer> buffers{{0x800_gpa, 0x1000}, {0x4000_gpa, 16}, {0x3000_gpa, 16}};
    mark_dirty(memory, buffers, 0x800, 0x808);
    const auto pages = must(memory.collect_dirty());
    EXPECT_EQ(pages[0].ranges(), (std::vector<GuestRange>{{0x1000_gpa, 0x1000}}));
    EXPECT_EQ(pages[1].count(), 0u);
    EXPECT_EQ(pages[2].count(), 1u);
    mark_dirty(memory, buffers, 0, ~std::uint64_t(0));
    mark_dirty(memory, buffers, ~std::uint64_t(0), 1);
    EXPECT_EQ(must(memory.collect_dirty())[0].count(), 2u);
}

}  // namespace
}  // namespace vmm::test
