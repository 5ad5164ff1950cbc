// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "memory_fixture.hpp"

#include <cstdarg>

/// Each system call that guest memory makes, failed. The linker gives this program's calls to
/// __wrap_X instead of X (tests/vmm/CMakeLists.txt).
namespace vmm::test {
namespace {

/// Which call of a function fails, counted from 1; 0: none.
struct Fault {
    int at = 0;
    int code = ENOMEM;
    int calls = 0;

    bool now() {
        if (++calls == at) {
            errno = code;
            return true;
        }
        return false;
    }
};
std::map<std::string_view, Fault> faults;

}  // namespace
}  // namespace vmm::test

// NOLINTBEGIN: the linker's names.
extern "C" {
using vmm::test::faults;

void* __real_mmap(void*, size_t, int, int, int, off_t);
void* __wrap_mmap(void* a, size_t size, int protection, int flags, int fd, off_t offset) {
    return faults["mmap"].now() ? MAP_FAILED : __real_mmap(a, size, protection, flags, fd, offset);
}
void* __real_mremap(void*, size_t, size_t, int, void*);
void* __wrap_mremap(void* a, size_t old_size, size_t size, int flags, void* to) {
    return faults["mremap"].now() ? MAP_FAILED : __real_mremap(a, old_size, size, flags, to);
}
int __real_madvise(void*, size_t, int);
int __wrap_madvise(void* a, size_t size, int advice) {
    return faults["madvise"].now() ? -1 : __real_madvise(a, size, advice);
}
int __real_memfd_create(const char*, unsigned);
int __wrap_memfd_create(const char* name, unsigned flags) {
    return faults["memfd_create"].now() ? -1 : __real_memfd_create(name, flags);
}
int __real_ftruncate(int, off_t);
int __wrap_ftruncate(int fd, off_t size) {
    return faults["ftruncate"].now() ? -1 : __real_ftruncate(fd, size);
}
int __real_fcntl(int, int, long);
int __wrap_fcntl(int fd, int command, long argument) {
    return faults["fcntl"].now() ? -1 : __real_fcntl(fd, command, argument);
}
int __real_fallocate(int, int, off_t, off_t);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t size) {
    return faults["fallocate"].now() ? -1 : __real_fallocate(fd, mode, offset, size);
}
int __real_mlock2(const void*, size_t, unsigned);
int __wrap_mlock2(const void* a, size_t size, unsigned flags) {
    return faults["mlock2"].now() ? -1 : __real_mlock2(a, size, flags);
}
int __real_msync(void*, size_t, int);
int __wrap_msync(void* a, size_t size, int flags) {
    return faults["msync"].now() ? -1 : __real_msync(a, size, flags);
}
}
// NOLINTEND

namespace vmm::test {
namespace {

/// The next call of `name` fails, or the `n`-th.
void fail_next(std::string_view name, int code, int n = 1) {
    faults[name] = {.at = n, .code = code};
}

class MemoryFaults : public testing::Test {
protected:
    void TearDown() override { faults.clear(); }
    /// That the region cannot be made when this call fails, says so and leaves nothing behind.
    static void expect(const char* call, int number, const Region& region, const char* text) {
        const auto before = Belongings::now();
        fail_next(call, EPERM, number);
        EXPECT_EQ(message(GuestMemory::create(std::span(&region, 1))),
                  text + std::string("Operation not permitted"));
        EXPECT_EQ(Belongings::now(), before) << call;
    }
};

TEST_F(MemoryFaults, ARegionThatCannotBeMadeNamesItAndTheCall) {
    TempFile file(1);
    const Region anonymous{0x200000_gpa, 4_KiB};
    const Region memfd{0x200000_gpa, 4_KiB, backing::Memfd{}};
    const Region opened{0x200000_gpa, 4_KiB, backing::File{.fd = file.fd().number()}};
    expect("mmap", 1, anonymous, "guest memory 0x200000..0x200fff: mmap: ");
    expect("mmap", 2, anonymous, "guest memory 0x200000..0x200fff: mmap: ");
    expect("memfd_create", 1, memfd, "guest memory 0x200000..0x200fff (memfd): memfd_create: ");
    expect("ftruncate", 1, memfd, "guest memory 0x200000..0x200fff (memfd): ftruncate: ");
    expect("fcntl", 1, memfd, "guest memory 0x200000..0x200fff (memfd): F_ADD_SEALS: ");
    expect("mmap", 1, memfd, "guest memory 0x200000..0x200fff (memfd): mmap: ");
    expect("mmap", 2, memfd, "guest memory 0x200000..0x200fff (memfd): mmap: ");
    fail_next("fcntl", EMFILE);
    EXPECT_TRUE(has(refusal({opened}), ": Too many open files"));
}

TEST_F(MemoryFaults, HugePagesAreAWishOnly) {
    fail_next("madvise", EINVAL);
    EXPECT_EQ(refusal({{0_gpa, 4_KiB}}), "succeeded");
}

TEST_F(MemoryFaults, ARegionThatCannotBeAddedLeavesNothing) {
    auto memory = make({{0_gpa, 4_KiB}});
    const auto slots = std::make_shared<FakeSlots>();
    must(memory.attach(slots));
    const auto before = Belongings::now();
    for (int n = 1; n <= 2; ++n) {
        fail_next("mmap", ENOMEM, n);
        EXPECT_EQ(code(memory.add_region({0x1000_gpa, 4_KiB, backing::Memfd{}})), ENOMEM);
    }
    EXPECT_EQ(Belongings::now(), before);
    EXPECT_EQ(slots->filled.size(), 1u);
    EXPECT_EQ(memory.regions().size(), 1u);
}

TEST_F(MemoryFaults, AFileThatCannotBeMappedLeavesWhatWasThere) {
    TempFile file(2);
    const auto memory = make({{0_gpa, 8_KiB, backing::Memfd{}}});
    must(memory.fill(0_gpa, 8_KiB, std::byte(9)));
    const FilePart part{.fd = file.fd(), .length = 8_KiB, .access = Access::read_only};
    const auto before = Belongings::now();
    for (const char* call : {"fcntl", "mmap", "mremap"}) {
        fail_next(call, ENOMEM);
        EXPECT_EQ(code(memory.map_fd(0_gpa, part)), ENOMEM) << call;
        EXPECT_EQ(Belongings::now(), before) << call;
        EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 9);
        must(memory.write(0x1000_gpa, std::uint8_t(9)));
    }
    must(memory.map_fd(0_gpa, part));
    for (const char* call : {"mmap", "mremap"}) {
        fail_next(call, ENOMEM);
        EXPECT_EQ(message(memory.unmap_fd(0_gpa, 8_KiB)),
                  "guest memory 0x0..0x1fff (memfd): mmap: Cannot allocate memory");
        EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 1);
        EXPECT_EQ(code(memory.write(0_gpa, std::uint8_t(1))), EROFS);
    }
    must(memory.unmap_fd(0_gpa, 8_KiB));
    EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 9);
}

TEST_F(MemoryFaults, GuestMemfdThatCannotBeMappedLeavesTheHostsMemory) {
    auto memory = make({{0_gpa, 8_KiB, backing::GuestMemfd{}}});
    must(memory.write(0_gpa, std::uint8_t(9)));
    const auto slots = std::make_shared<FakeSlots>();
    const auto before = Belongings::now();
    for (const char* call : {"mmap", "mremap"}) {
        fail_next(call, ENOMEM);
        EXPECT_EQ(code(memory.attach(slots)), ENOMEM) << call;
        EXPECT_EQ(Belongings::now(), before) << call;
    }
    EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 9);
    must(memory.attach(slots));
    EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 9);
}

TEST_F(MemoryFaults, ARemovedRegionWhoseMemoryCannotBeGivenBackYetIsRemovedAllTheSame) {
    auto memory = make({{0_gpa, 4_KiB}, {0x1000_gpa, 4_KiB, backing::Memfd{}}});
    const auto before = Belongings::now();
    must(memory.add_region({0x2000_gpa, 4_KiB, backing::Memfd{}}));
    fail_next("mremap", ENOMEM);
    must(memory.remove_region(0x2000_gpa));
    EXPECT_FALSE(memory.contains(0x2000_gpa, 1));
    memory.reclaim();
    EXPECT_EQ(Belongings::now(), before);
}

TEST_F(MemoryFaults, WhatTheHostRefusesToDoWithThePagesNamesTheRegion) {
    TempFile file(1);
    const auto memory =
        make({{0_gpa, 4_KiB},
              {0x1000_gpa, 4_KiB, backing::Memfd{}},
              {0x2000_gpa, 4_KiB, backing::File{.path = file.path(), .sharing = Sharing::shared}}});
    fail_next("mlock2", ENOMEM);
    EXPECT_TRUE(has(message(memory.lock(0_gpa, 4_KiB)),
                    "guest memory 0x0..0xfff: mlock2: Cannot allocate memory: RLIMIT_MEMLOCK is "));
    fail_next("madvise", EINVAL);
    EXPECT_EQ(message(memory.advise(0_gpa, 4_KiB, Advice::merge)),
              "guest memory 0x0..0xfff: MADV_MERGEABLE: Invalid argument");
    fail_next("fallocate", EOPNOTSUPP);
    EXPECT_EQ(message(memory.inflate(0x1000_gpa, 4_KiB)),
              "guest memory 0x1000..0x1fff (memfd): fallocate(FALLOC_FL_PUNCH_HOLE): Operation not "
              "supported");
    fail_next("msync", EIO);
    EXPECT_EQ(message(memory.sync(0x2000_gpa, 4_KiB)),
              "guest memory 0x2000..0x2fff (file " + file.path() + "): msync: Input/output error");
    fail_next("madvise", ENOMEM);
    EXPECT_EQ(message(memory.prefault(0_gpa, 4_KiB)),
              "guest memory 0x0..0xfff: MADV_POPULATE: Cannot allocate memory");
}

TEST_F(MemoryFaults, PagesArePrefaultedByTouchWhereTheKernelCannot) {
    const auto memory = make({{0_gpa, 8_KiB, backing::Memfd{}}, {0x2000_gpa, 4_KiB}});
    must(memory.write(0_gpa, std::uint8_t(9)));
    fail_next("madvise", EINVAL);
    must(memory.prefault(0_gpa, 8_KiB));
    unsigned char there[2] = {};
    ASSERT_EQ(::mincore(must(memory.host_span(0_gpa, 8_KiB)).data(), 8_KiB, there), 0);
    EXPECT_EQ(there[0] & there[1] & 1, 1);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 9);
    fail_next("madvise", EINTR);
    must(memory.prefault(0_gpa, 8_KiB));
}

}  // namespace
}  // namespace vmm::test
