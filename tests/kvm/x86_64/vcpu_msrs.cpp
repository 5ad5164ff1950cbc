// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <support/guest.hpp>
#include <vector>

namespace kvm::test {
namespace {

class VcpuMsrs : public WithKvm {};

constexpr u32 star = 0xc0000081, lstar = 0xc0000082, cstar = 0xc0000083;
constexpr u32 kernel_gs_base = 0xc0000102;
constexpr u64 not_canonical = 0x8000'0000'0000'0000 >> 4;

/// `n` entries, which go round three MSRs.
std::vector<MsrEntry> many(std::size_t n) {
    static constexpr u32 indices[] = {star, lstar, cstar};
    std::vector<MsrEntry> entries;
    for (std::size_t i = 0; i < n; ++i) {
        entries.push_back({.index = indices[i % 3], .reserved = 0, .data = 0x1000 + i});
    }
    return entries;
}

TEST_F(VcpuMsrs, ReadsBackOneThatWasSet) {
    Guest guest(kvm());
    ASSERT_OK(guest.vcpu().set_msr(kernel_gs_base, 0xffff'8880'1234'5000));
    EXPECT_EQ(must(guest.vcpu().msr(kernel_gs_base)), 0xffff'8880'1234'5000u);
}

TEST_F(VcpuMsrs, OneThatIsUnknownFailsWithItsIndex) {
    Guest guest(kvm());
    const auto unknown = guest.vcpu().msr(0x1234'5678);
    if (unknown) {
        GTEST_SKIP() << "this KVM was told to ignore unknown MSRs";
    }
    ASSERT_ERRNO(unknown, EINVAL);
    EXPECT_EQ(unknown.error().detail, 0x1234'5678u);
    EXPECT_ERRNO(guest.vcpu().set_msr(0x1234'5678, 1), EINVAL);
}

TEST_F(VcpuMsrs, SetsAndGetsMoreThanTheKernelTakesAtOnce) {
    Guest guest(kvm());
    ASSERT_OK(guest.vcpu().set_msrs(many(600)));
    auto entries = many(600);
    for (auto& entry : entries) {
        entry.data = 0;
    }
    ASSERT_OK(guest.vcpu().msrs(entries));
    for (std::size_t i = 0; i < entries.size(); ++i) {
        EXPECT_EQ(entries[i].data, 0x1000 + 597 + i % 3) << i;  // the last that was set
    }
}

TEST_F(VcpuMsrs, NoneAtAllIsASuccess) {
    Guest guest(kvm());
    EXPECT_OK(guest.vcpu().set_msrs({}));
    EXPECT_OK(guest.vcpu().msrs({}));
}

TEST_F(VcpuMsrs, TellsWhichOfManyWasRefusedAndSetsThoseBefore) {
    for (const std::size_t bad : {0uz, 1uz, 254uz, 255uz, 256uz, 300uz, 599uz}) {
        Guest guest(kvm());
        auto entries = many(600);
        entries[bad] = {.index = lstar, .reserved = 0, .data = not_canonical};
        const auto done = guest.vcpu().set_msrs(entries);
        ASSERT_ERRNO(done, EINVAL) << bad;
        EXPECT_EQ(done.error().detail, bad);
        if (bad > 0) {
            EXPECT_EQ(must(guest.vcpu().msr(entries[bad - 1].index)), entries[bad - 1].data);
        }
    }
}

TEST_F(VcpuMsrs, TheGuestReadsWhatWasSet) {
    Guest guest(kvm());
    guest.load_long(guests::msr());
    ASSERT_OK(guest.vcpu().set_msr(lstar, 0x1122'3344));
    guest.change_regs([](Regs& regs) {
        regs.rip += guests::msr_read();
        regs.rcx = lstar;
    });
    EXPECT_EQ(bytes_of(guest.run_to<exit::IoOut>().data), "o");
    EXPECT_EQ(guest.regs().rbx, 0x1122'3344u);
}

}  // namespace
}  // namespace kvm::test
