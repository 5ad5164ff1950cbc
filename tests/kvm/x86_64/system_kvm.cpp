// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <set>
#include <support/require.hpp>

namespace kvm::test {
namespace {

class System : public WithKvm {};

Fd open_file(const char* path) { return must(detail::open(path, O_RDWR)); }

TEST(SystemWithoutKvm, NoSuchDeviceIsSaidAndExplained) {
    const auto kvm = Kvm::open("/dev/no-such-kvm");
    ASSERT_ERRNO(kvm, ENOENT);
    EXPECT_NE(std::string(explain(kvm.error())), "");
}

TEST(SystemWithoutKvm, AFileThatIsNoKvmIsRefused) {
    EXPECT_ERRNO(Kvm::open("/dev/null"), ENOTTY);
    EXPECT_ERRNO(Kvm::adopt(open_file("/dev/null")), ENOTTY);
}

TEST(SystemWithoutKvm, ARefusedDescriptorIsClosed) {
    Fd fd = open_file("/dev/null");
    const int number = fd.number();
    EXPECT_ERRNO(Kvm::adopt(std::move(fd)), ENOTTY);
    EXPECT_EQ(fcntl(number, F_GETFD), -1);
}

TEST(SystemWithoutKvm, ACapabilityOfAFileThatIsNoKvmIsAnErrorNotANumber) {
    const Vm vm(open_file("/dev/null"), 4096);
    EXPECT_ERRNO(vm.check(cap::nr_memslots), ENOTTY);
    EXPECT_ERRNO(vm.create_vcpu(VcpuId(0)), ENOTTY);
}

TEST_F(System, HasTheOneApiVersionThereEverWas) { EXPECT_EQ(must(kvm().api_version()), 12); }

TEST_F(System, AdoptsADescriptorOfTheDevice) {
    EXPECT_OK(Kvm::adopt(must(kvm().fd().duplicate())));
}

TEST_F(System, AVcpusMappingHoldsItsPage) {
    EXPECT_GE(must(kvm().vcpu_mmap_size()), sizeof(kvm::Run));
    EXPECT_EQ(must(kvm().create_vm()).vcpu_mmap_size(), must(kvm().vcpu_mmap_size()));
}

TEST_F(System, EveryCapabilityHasAnAnswer) {
    for (const cap::Any& any : cap::all) {
        const auto value = kvm().check_extension(any.number);
        ASSERT_OK(value) << any.name;
        EXPECT_GE(*value, 0) << any.name;
    }
}

TEST_F(System, AnUnknownCapabilityIsMissing) { EXPECT_EQ(must(kvm().check_extension(696969)), 0); }

TEST_F(System, KnownCapabilitiesHaveTheirTypes) {
    EXPECT_TRUE(must(kvm().check(cap::user_memory)));
    EXPECT_GE(must(kvm().check(cap::nr_memslots)), 32);
}

TEST_F(System, SupportsTheLeavesThatEveryCpuHas) {
    REQUIRE_CAP(kvm(), cap::ext_cpuid);
    const auto leaves = must(kvm().supported_cpuid());
    for (const u32 leaf : {0u, 1u, 0x8000'0000u, 0x4000'0000u}) {
        EXPECT_NE(std::ranges::find(leaves, leaf, &CpuidEntry2::function), leaves.end()) << leaf;
    }
}

TEST_F(System, ListsTheLeavesThatItEmulates) {
    REQUIRE_CAP(kvm(), cap::ext_emul_cpuid);
    const auto leaves = must(kvm().emulated_cpuid());
    EXPECT_FALSE(leaves.empty());
}

TEST_F(System, ListsEachMsrOfASnapshotOnce) {
    const auto indices = must(kvm().msr_index_list());
    const std::set<u32> unique(indices.begin(), indices.end());
    EXPECT_GT(indices.size(), 10u);
    EXPECT_EQ(unique.size(), indices.size());
    EXPECT_TRUE(unique.contains(0x10)) << "the TSC";
}

TEST_F(System, GivesTheValueOfEveryFeatureMsrThatItLists) {
    REQUIRE_CAP(kvm(), cap::get_msr_features);
    std::vector<MsrEntry> entries;
    for (const u32 index : must(kvm().msr_feature_index_list())) {
        entries.push_back({.index = index, .reserved = 0, .data = 0});
    }
    EXPECT_FALSE(entries.empty());
    EXPECT_OK(kvm().msrs(entries));
}

TEST_F(System, TellsWhichFeatureMsrItDoesNotKnow) {
    REQUIRE_CAP(kvm(), cap::get_msr_features);
    const u32 known = must(kvm().msr_feature_index_list())[0];
    MsrEntry entries[] = {{known, 0, 0}, {known, 0, 0}, {0x1234'5678, 0, 0}};
    const auto done = kvm().msrs(entries);
    ASSERT_ERRNO(done, EINVAL);
    EXPECT_EQ(done.error().detail, 2u);
}

TEST_F(System, TooShortAListOfLeavesGrows) {
    const auto tiny = must(detail::grow_until_filled<CpuidList>(
        1, [&](Cpuid2& list) { return call(kvm().fd(), op::x86_64::get_supported_cpuid, list); }));
    EXPECT_EQ(tiny.size(), must(kvm().supported_cpuid()).size());
}

TEST_F(System, TooShortAListOfMsrsGrowsToWhatTheKernelSaysAtOnce) {
    int calls = 0;
    const auto tiny = must(detail::grow_until_filled<MsrIndexList>(1, [&](MsrList& list) {
        ++calls;
        return call(kvm().fd(), op::x86_64::get_msr_index_list, list);
    }));
    EXPECT_EQ(tiny.size(), must(kvm().msr_index_list()).size());
    EXPECT_EQ(calls, 2);
}

TEST_F(System, SaysWhichXsaveComponentsGuestsMayUse) {
    REQUIRE_CAP(kvm(), cap::sys_attributes);
    ASSERT_TRUE(must(kvm().has_attr(xcomp_guest_supp)));
    EXPECT_EQ(must(kvm().attr(xcomp_guest_supp)) & 3, 3u) << "x87 and SSE";
}

TEST_F(System, AnAttributeThatDoesNotExistIsAnswerOrError) {
    REQUIRE_CAP(kvm(), cap::sys_attributes);
    constexpr Attr<u64> none{0, 4711, "none"};
    EXPECT_FALSE(must(kvm().has_attr(none)));
    EXPECT_ERRNO(kvm().attr(none), ENXIO);
}

TEST_F(System, AnUnknownTypeOfVmIsRefused) { EXPECT_ERRNO(kvm().create_vm(VmType(0x40)), EINVAL); }

}  // namespace
}  // namespace kvm::test
