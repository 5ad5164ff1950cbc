// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// vCPUs whose descriptor is a file that the tests write: what the library makes of what is mapped.

#include "hook.hpp"
#include "print.hpp"

#include <cerrno>
#include <cstring>
#include <kvm/kvm.hpp>
#include <vector>

namespace kvm::test {
namespace {

TEST(VcpuOfAFile, MovesItsMappingAlongAndUnmapsItOnce) {
    const Fd file = memory_file(3), another = memory_file(3);
    Vcpu vcpu = vcpu_of(file);
    vcpu.raw().exit_reason = 7;
    Vcpu moved = std::move(vcpu);
    EXPECT_EQ(moved.raw().exit_reason, 7u);
    Vcpu other = vcpu_of(another);
    other = std::move(moved);
    EXPECT_EQ(other.raw().exit_reason, 7u);
}

TEST(VcpuOfAFile, ThatCannotBeMappedIsAnErrorAndClosed) {
    const auto event = EventFd::create();
    ASSERT_TRUE(event);
    Fd same = event->fd().duplicate().value();
    const int number = same.number();
    kernel = [](std::uint32_t, void*) { return 0; };
    const auto vcpu = Vcpu::adopt(std::move(same), 3 * 4096);
    kernel = nullptr;
    ASSERT_FALSE(vcpu);
    EXPECT_EQ(vcpu.error(), (Error{"mmap(vcpu)", ENODEV, 0}));
    EXPECT_FALSE(Fd(number).duplicate()) << "it was taken over";
}

/// A coalesced ring over a file: whatever the "kernel" writes into it.
struct Ring {
    Ring() : file(memory_file(3)) {
        page = static_cast<std::uint32_t*>(
            ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file.number(), 2 * 4096));
        for (std::uint32_t i = 0; i < 170; ++i) {
            const CoalescedMmio entry{0x1000 + i, 4, 0, {static_cast<u8>(i)}};
            std::memcpy(page + 2 + std::size_t{i} * 6, &entry, sizeof entry);
        }
    }
    ~Ring() { ::munmap(page, 4096); }
    void set(std::uint32_t first, std::uint32_t last) const { page[0] = first, page[1] = last; }

    Fd file;
    std::uint32_t* page;
};

TEST(CoalescedRing, GivesTheOldestFirstAndWrapsAround) {
    const Ring ring;
    const Vcpu vcpu = vcpu_of(ring.file);
    auto queue = CoalescedRing::map(vcpu, 2);
    ASSERT_TRUE(queue);
    CoalescedMmio entry;
    EXPECT_FALSE(queue->pop(entry));
    ring.set(168, 1);
    std::vector<std::uint64_t> seen;
    while (queue->pop(entry)) {
        seen.push_back(entry.phys_addr);
    }
    EXPECT_EQ(seen, (std::vector<std::uint64_t>{0x1000 + 168, 0x1000 + 169, 0x1000}));
    EXPECT_EQ(ring.page[0], 1u) << "what was taken is free again";
}

TEST(CoalescedRing, ReadsNothingOutsideItselfWhateverItHolds) {
    const Ring ring;
    const Vcpu vcpu = vcpu_of(ring.file);
    auto queue = CoalescedRing::map(vcpu, 2);
    ASSERT_TRUE(queue);
    CoalescedMmio entry;
    for (const std::uint32_t first : {170u, 171u, 4096u, ~0u}) {
        ring.set(first, 3);
        EXPECT_FALSE(queue->pop(entry)) << first;
    }
}

TEST(CoalescedRing, HasOneOwnerAtATimeWhicheverVcpuItIsMappedThrough) {
    const Ring ring;
    const Vcpu first = vcpu_of(ring.file);
    const Vcpu second = vcpu_of(ring.file);
    {
        auto queue = CoalescedRing::map(first, 2);
        ASSERT_TRUE(queue);
        EXPECT_EQ(CoalescedRing::map(first, 2).error(), (Error{"mmap(coalesced ring)", EBUSY, 0}));
        EXPECT_EQ(CoalescedRing::map(second, 2).error().code, EBUSY);
        auto moved = std::move(*queue);
        EXPECT_EQ(CoalescedRing::map(second, 2).error().code, EBUSY) << "it only moved";
    }
    EXPECT_TRUE(CoalescedRing::map(second, 2)) << "the owner is gone";
}

TEST(CoalescedRing, IsNotMappedFromANonsensicalPage) {
    const Vcpu vcpu = vcpu_of(memory_file(3));
    EXPECT_EQ(CoalescedRing::map(vcpu, 0).error().code, EINVAL);
    EXPECT_EQ(CoalescedRing::map(vcpu, -1).error().code, EINVAL);
    EXPECT_EQ(CoalescedRing::map(vcpu, 3).error().code, EINVAL) << "beyond the vCPU's mapping";
}

}  // namespace
}  // namespace kvm::test
