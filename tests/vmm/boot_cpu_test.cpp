// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <gtest/gtest.h>

#include <vector>
#include <vmm/x86_64/cpu.hpp>

/// The CPUID leaves of a vCPU, from leaves made up. Intel SDM volume 2, CPUID; AMD APM volume 3,
/// E.4.
namespace vmm::test {
namespace {

using kvm::x86_64::CpuidEntry2;

constexpr CpuidEntry2 intel{0, 0, 0, 0x1f, 0x756e6547, 0x6c65746e, 0x49656e69, {}};
constexpr CpuidEntry2 amd{0, 0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65, {}};

CpuidEntry2 leaf(std::uint32_t function, std::uint32_t value = 0xffffffff) {
    return {function, 0, 0, value, value, value, value, {}};
}

std::vector<CpuidEntry2> leaves(std::vector<CpuidEntry2> supported, std::uint32_t id,
                                std::uint32_t cpus) {
    return x86_64::vcpu_cpuid(supported, kvm::VcpuId(id), cpus);
}

TEST(VcpuCpuid, TellsTheApicIdTheCoresAndTheHypervisorInLeaf1) {
    const auto one = leaves({intel, leaf(1)}, 0, 1)[1];
    EXPECT_EQ(one.ebx, 0x0001ffffu);
    EXPECT_EQ(one.edx, ~(1u << 28)) << "HTT";
    const auto third = leaves({intel, leaf(1, 0)}, 2, 3)[1];
    EXPECT_EQ(third.ebx, 0x02040000u) << "as many ids as the next power of two";
    EXPECT_EQ(third.ecx, 1u << 31) << "hypervisor";
    EXPECT_EQ(third.edx, 1u << 28) << "HTT";
    EXPECT_EQ(third.eax, 0u);
    EXPECT_EQ(leaves({intel, leaf(1, 0)}, 300, 512)[1].ebx, 0x2cff0000u);
}

TEST(VcpuCpuid, TellsOneThreadACoreAndAllCoresInOneSocket) {
    for (const std::uint32_t function : {0xbu, 0x1fu}) {
        const auto all = leaves({intel, leaf(function, 0)}, 5, 6);
        ASSERT_EQ(all.size(), 4u);
        const std::uint32_t want[3][4] = {{0, 1, 0x100, 5}, {3, 6, 0x201, 5}, {0, 0, 2, 5}};
        for (std::uint32_t i = 0; i < 3; ++i) {
            const CpuidEntry2& level = all[1 + i];
            EXPECT_EQ(level.function, function);
            EXPECT_EQ(level.index, i);
            EXPECT_EQ(level.flags, 1u) << "KVM_CPUID_FLAG_SIGNIFCANT_INDEX";
            EXPECT_EQ(level.eax, want[i][0]);
            EXPECT_EQ(level.ebx, want[i][1]);
            EXPECT_EQ(level.ecx, want[i][2]);
            EXPECT_EQ(level.edx, want[i][3]);
        }
    }
}

TEST(VcpuCpuid, ReplacesTheHostsTopologyAndAddsNone) {
    auto second = leaf(0xb);
    second.index = 1;
    EXPECT_EQ(leaves({intel, leaf(0xb), second}, 0, 1).size(), 4u);
    EXPECT_EQ(leaves({intel}, 0, 1).size(), 1u);
}

TEST(VcpuCpuid, SharesTheThirdLevelCacheOnly) {
    const auto cache = [](std::uint32_t level) {
        return CpuidEntry2{4, level, 1, level << 5 | 1, 7, 8, 9, {}};
    };
    const auto all = leaves({intel, cache(1), cache(2), cache(3), leaf(4, 0)}, 0, 4);
    EXPECT_EQ(all[1].eax, 3u << 26 | 0u << 14 | 1u << 5 | 1);
    EXPECT_EQ(all[2].eax, 3u << 26 | 0u << 14 | 2u << 5 | 1);
    EXPECT_EQ(all[3].eax, 3u << 26 | 3u << 14 | 3u << 5 | 1);
    EXPECT_EQ(all[3].ebx, 7u);
    EXPECT_EQ(all[4].eax, 0u) << "no more caches";
}

TEST(VcpuCpuid, TellsAmdsGuestsInAmdsLeaves) {
    const auto all = leaves({amd, leaf(0x80000001, 0), leaf(0x80000008), leaf(0x8000001e)}, 3, 5);
    EXPECT_EQ(all[1].ecx, 2u) << "CmpLegacy";
    EXPECT_EQ(all[2].ecx, 0xffff3f04u) << "4 + 1 cores, 3 bits of core id";
    EXPECT_EQ(all[3].eax, 3u);
    EXPECT_EQ(all[3].ebx, 3u);
    EXPECT_EQ(all[3].ecx, 0u);
    EXPECT_EQ(leaves({amd, leaf(0x80000001)}, 0, 1)[1].ecx, ~2u);
    EXPECT_EQ(leaves({intel, leaf(0x80000008, 0)}, 3, 5)[1].ecx, 0u) << "reserved on Intel";
}

TEST(VcpuCpuid, KeepsWhatElseTheHostHas) {
    const CpuidEntry2 kvm{0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d, {}};
    const auto all = leaves({intel, leaf(7), kvm, leaf(6)}, 1, 2);
    EXPECT_EQ(all[0].eax, 0x1fu);
    EXPECT_EQ(all[1].ebx, 0xffffffffu);
    EXPECT_EQ(all[2].eax, 0x40000001u);
    EXPECT_EQ(all[2].ebx, 0x4b4d564bu) << "KVMK";
    EXPECT_EQ(all[3].ecx, ~8u) << "energy bias, whose MSR KVM lacks";
}

TEST(VcpuCpuid, StandsNoCpusAndNoLeaves) {
    EXPECT_EQ(leaves({}, 0, 0).size(), 0u);
    EXPECT_EQ(leaves({intel, leaf(1, 0)}, 0, 0)[1].ebx, 0x00010000u);
}

}  // namespace
}  // namespace vmm::test
