// SPDX-License-Identifier: Apache-2.0 OR MIT
// Answers that no kernel should give, or that a newer one might: each is a clear error, never more.
#include "fault_kernel.hpp"

#include <algorithm>
#include <climits>
#include <gtest/gtest.h>
#include <kvm/throw.hpp>
#include <support/result.hpp>

namespace kvm::test {
namespace {

class Hostile : public ::testing::Test {
protected:
    ~Hostile() override {
        EXPECT_EQ(kernel.mistakes(), std::vector<std::string>());
        EXPECT_EQ(kernel.account(), FakeKernel::Account()) << "something leaked";
    }

    /// Has `op` answer `result` from now on, and `fill` its argument.
    template <class Arg, Dir D, class Ret>
    void answer(Ioctl<Arg, D, Ret> op, long result, std::function<void(void*)> fill = {}) {
        kernel.instead = [=](const FakeKernel::Call& call, long& value) {
            if (call.nr != arch::nr_ioctl || call.request != op.request) {
                return false;
            }
            if (fill) {
                fill(reinterpret_cast<void*>(call.args[2]));
            }
            value = result;
            return true;
        };
    }
    Vcpu vcpu() { return must(must(must(Kvm::open()).create_vm()).create_vcpu(VcpuId(0))); }

    FakeKernel kernel;
};

TEST_F(Hostile, AnApiVersionOtherThan12IsNotKvm) {
    for (const int version : {13, 11, 0, 1, INT_MAX}) {
        answer(op::get_api_version, version);
        const auto kvm = Kvm::open();
        ASSERT_ERRNO(kvm, EPROTO);
        EXPECT_EQ(kvm.error().detail, static_cast<u32>(version));
        EXPECT_STREQ(kvm.error().what, "KVM_GET_API_VERSION");
    }
}

TEST_F(Hostile, AVcpuMappingTooShortForItsPagesIsAnError) {
    for (const int size : {0, 1, 2351, 4096, 8191}) {
        answer(op::get_vcpu_mmap_size, size);
        const Vm vm = must(must(Kvm::open()).create_vm());
        const auto vcpu = vm.create_vcpu(VcpuId(0));
        ASSERT_ERRNO(vcpu, EPROTO);
        EXPECT_EQ(vcpu.error().detail, static_cast<u32>(size));
    }
    answer(op::get_vcpu_mmap_size, 8192);
    EXPECT_OK(must(must(Kvm::open()).create_vm()).create_vcpu(VcpuId(0)));
}

TEST_F(Hostile, AListThatIsAlwaysTooShortEnds) {
    const Kvm kvm = must(Kvm::open());
    for (const u32 count : {0u, 1u, 1000u, ~0u}) {
        SCOPED_TRACE(count);
        const auto fill = [=](void* list) { static_cast<Cpuid2*>(list)->nent = count; };
        answer(op::x86_64::get_supported_cpuid, -E2BIG, fill);
        kernel.forget();
        EXPECT_ERRNO(kvm.supported_cpuid(), E2BIG);
        EXPECT_LT(kernel.calls().size(), 20u);
    }
}

TEST_F(Hostile, AListLongerThanItsRoomIsAnErrorAndNeverRead) {
    const Kvm kvm = must(Kvm::open());
    for (const u32 count : {70'000u, 1u << 31, ~0u}) {
        SCOPED_TRACE(count);
        answer(op::x86_64::get_msr_index_list, 0,
               [=](void* list) { static_cast<MsrList*>(list)->nmsrs = count; });
        kernel.forget();
        EXPECT_ERRNO(kvm.msr_index_list(), EPROTO);
        EXPECT_LT(kernel.calls().size(), 20u);
    }
    answer(op::x86_64::get_msr_index_list, 0,
           [](void* list) { static_cast<MsrList*>(list)->nmsrs = 1000; });
    const MsrIndexList list = must(kvm.msr_index_list());
    EXPECT_EQ(list.size(), 1000u);
    EXPECT_GE(list.capacity(), 1000u);
    EXPECT_EQ(list.header().nmsrs, 1000u) << "what a later ioctl would read";
}

TEST_F(Hostile, TheMsrThatIsRefusedIsNamedByItsIndex) {
    Vcpu cpu = vcpu();
    std::vector<MsrEntry> entries(100);
    for (const u32 good : {0u, 1u, 31u, 32u, 50u, 99u}) {
        SCOPED_TRACE(good);
        u32 done = 0;
        kernel.instead = [&](const FakeKernel::Call& call, long& result) {
            const u32 n = argument<Msrs>(call).nmsrs;
            result = std::min(n, good - done);
            done += static_cast<u32>(result);
            return true;
        };
        auto refused = cpu.msrs(entries);
        ASSERT_ERRNO(refused, EINVAL);
        EXPECT_EQ(refused.error().detail, good);
        done = 0;
        refused = cpu.set_msrs(entries);
        ASSERT_ERRNO(refused, EINVAL);
        EXPECT_EQ(refused.error().detail, good);
    }
    kernel.instead = [](const FakeKernel::Call&, long& result) {
        result = 0;
        return true;
    };
    const auto one = cpu.msr(0xabc);
    ASSERT_ERRNO(one, EINVAL);
    EXPECT_EQ(one.error().detail, 0xabcu);
    kernel.instead = {};
}

TEST_F(Hostile, MoreMsrsThanWereAskedForAreNotBelieved) {
    Vcpu cpu = vcpu();
    std::vector<MsrEntry> entries(40);
    answer(op::x86_64::get_msrs, INT_MAX);
    EXPECT_OK(cpu.msrs(entries));
    answer(op::x86_64::set_msrs, INT_MAX);
    EXPECT_OK(cpu.set_msrs(entries));
    kernel.instead = {};
}

TEST_F(Hostile, WhatReadsShortIsNoEventfd) {
    const EventFd event = must(EventFd::create());
    for (const long bytes : {0L, 1L, 7L}) {
        kernel.instead = [=](const FakeKernel::Call&, long& result) {
            result = bytes;
            return true;
        };
        EXPECT_ERRNO(event.read(), EPROTO);
        EXPECT_ERRNO(event.write(), EPROTO);
    }
}

TEST_F(Hostile, ARingWithIndicesOutOfRangeIsEmpty) {
    const Vcpu cpu = vcpu();
    CoalescedRing ring = must(CoalescedRing::map(cpu, 2));
    const auto page =
        std::ranges::find(kernel.account().mapped, 4096, &std::pair<const long, long>::second);
    ASSERT_NE(page, kernel.account().mapped.end());
    auto& indices = *reinterpret_cast<CoalescedMmioRing*>(page->first);
    CoalescedMmio write;
    for (const u32 bad : {170u, 500u, ~0u}) {
        indices = {.first = bad, .last = 1};
        EXPECT_FALSE(ring.pop(write));
        indices = {.first = 0, .last = bad};
        EXPECT_FALSE(ring.pop(write));
    }
    indices = {.first = 0, .last = 169};
    int writes = 0;
    while (ring.pop(write)) {
        ++writes;
    }
    EXPECT_EQ(writes, 169);
}

TEST_F(Hostile, AnInterruptedCallIsRepeatedAsLongAsItTakes) {
    int interruptions = 100;
    kernel.instead = [&](const FakeKernel::Call& call, long& result) {
        const bool repeats = call.nr == arch::nr_openat || call.request == op::create_vm.request;
        if (repeats && interruptions > 0) {
            --interruptions;
            result = -EINTR;
            return true;
        }
        return false;
    };
    const Kvm kvm = must(Kvm::open());
    EXPECT_EQ(interruptions, 0);
    interruptions = 100;
    EXPECT_OK(kvm.create_vm());
    EXPECT_EQ(interruptions, 0);
}

TEST_F(Hostile, TheStatisticsMustAgreeWithThemselves) {
    const Vm vm = must(must(Kvm::open()).create_vm());
    const auto with_header = [&](StatsHeader header) {
        kernel.instead = [=](const FakeKernel::Call& call, long& result) {
            if (call.nr != arch::nr_pread64) {
                return false;
            }
            std::memset(reinterpret_cast<void*>(call.args[1]), 0xff,
                        static_cast<std::size_t>(call.args[2]));
            if (call.args[3] == 0) {
                std::memcpy(reinterpret_cast<void*>(call.args[1]), &header, sizeof header);
            }
            result = call.args[2];
            return true;
        };
        return vm.stats();
    };
    EXPECT_ERRNO(with_header({0, 0, 1, 24, 32, 64}), EPROTO) << "names without length";
    EXPECT_ERRNO(with_header({0, ~0u, 1, 24, 32, 64}), EPROTO);
    EXPECT_ERRNO(with_header({0, 8, ~0u, 24, 32, 64}), EPROTO);
    EXPECT_ERRNO(with_header({0, 8, 1, 24, 32, 64}), EPROTO) << "a value at no multiple of 8";
    kernel.instead = [](const FakeKernel::Call& call, long& result) {
        result = 0;
        return call.nr == arch::nr_pread64;
    };
    EXPECT_ERRNO(vm.stats(), EIO) << "cut short";
    kernel.instead = {};
}

}  // namespace
}  // namespace kvm::test
