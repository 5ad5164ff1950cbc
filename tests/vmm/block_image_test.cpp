// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "block_fixture.hpp"

namespace vmm::test {
namespace {

using block::Caching;
using block::Image;

std::string refusal(const std::string& path, Access access = Access::read_write,
                    Caching caching = Caching::page_cache) {
    return message(Image::open({path, access, caching}));
}

TEST(Image, KnowsItsSize) {
    const ImageFile file(8192);
    const auto image = must(Image::open({.path = file.path}));
    EXPECT_EQ(image.size(), 8192u);
    EXPECT_EQ(image.block_size(), 512u);
    EXPECT_FALSE(image.is_block_device());
    EXPECT_TRUE(image.is_whole());
    file.cut(4096);
    EXPECT_FALSE(image.is_whole());
}

TEST(Image, WhatIsNoDiskIsRefusedByName) {
    EXPECT_EQ(refusal("/nowhere/disk.img"), "/nowhere/disk.img: No such file or directory");
    EXPECT_EQ(refusal("/tmp"), "/tmp: Is a directory");
    EXPECT_EQ(refusal("/dev/null"), "/dev/null: is neither a file nor a block device");
    const std::string fifo = fmt::format("/tmp/kvmxx-fifo-{}", ::getpid());
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_EQ(refusal(fifo), fifo + ": is neither a file nor a block device");
    ::unlink(fifo.c_str());
    const ImageFile empty(0);
    EXPECT_EQ(refusal(empty.path), empty.path + ": is empty");
    const ImageFile odd(1000);
    EXPECT_EQ(refusal(odd.path), odd.path + ": its 1000 bytes are no multiple of 512");
}

TEST(Image, IsLockedForOneWriterOrManyReaders) {
    const ImageFile file(4096);
    const std::string in_use = file.path + ": is in use: another machine or disk has locked it";
    {
        const auto writer = must(Image::open({.path = file.path}));
        EXPECT_EQ(refusal(file.path), in_use);
        EXPECT_EQ(refusal(file.path, Access::read_only), in_use);
    }
    const auto reader = must(Image::open({.path = file.path, .access = Access::read_only}));
    EXPECT_EQ(refusal(file.path, Access::read_only), "succeeded");
    EXPECT_EQ(refusal(file.path), in_use);
    reader.unlock();
    EXPECT_EQ(refusal(file.path), "succeeded");
}

TEST(Image, WithoutODirectCannotBeDirect) {
    const std::string path = fmt::format("/proc/self/fd/{}", ::memfd_create("disk", 0));
    ASSERT_EQ(::truncate(path.c_str(), 4096), 0);
    const std::string said = refusal(path, Access::read_write, Caching::direct);
    EXPECT_TRUE(said == path + ": direct: its file system has no O_DIRECT" || said == "succeeded")
        << said;
}

}  // namespace
}  // namespace vmm::test
