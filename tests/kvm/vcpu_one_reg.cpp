// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <support/guest.hpp>
#include <vector>

namespace kvm::test {
namespace {

/// one_reg() with a register that each architecture has: some_register.
class OneRegs : public WithKvm {};

TEST_F(OneRegs, AreReadAndWrittenAsValuesAndAsBytes) {
    REQUIRE_CAP(kvm(), cap::one_reg);
    Guest guest(kvm());
    constexpr u64 value = 0x1122'3344'5566'7788;
    ASSERT_OK(guest.vcpu().set_one_reg(some_register, value));
    EXPECT_EQ(must(guest.vcpu().one_reg(some_register)), value);
    u64 bytes = 0;
    const auto id = some_register.value();
    ASSERT_OK(guest.vcpu().one_reg(id, std::as_writable_bytes(std::span(&bytes, 1))));
    EXPECT_EQ(bytes, value);
    bytes = ~value;
    ASSERT_OK(guest.vcpu().set_one_reg(id, std::as_bytes(std::span(&bytes, 1))));
    EXPECT_EQ(must(guest.vcpu().one_reg(some_register)), ~value);
}

TEST_F(OneRegs, AreAsLongAsTheirIdSays) {
    Guest guest(kvm());
    std::byte bytes[16] = {};
    const u64 id = some_register.value();
    EXPECT_ERRNO(guest.vcpu().one_reg(id, std::span(bytes, 4)), EMSGSIZE);
    EXPECT_ERRNO(guest.vcpu().set_one_reg(id, std::span<const std::byte>(bytes, 7)), EMSGSIZE);
    EXPECT_ERRNO(guest.vcpu().set_one_reg(id, std::span<const std::byte>(bytes, 16)), EMSGSIZE);
    EXPECT_ERRNO(RegId<u32>::make(id), EMSGSIZE);
    EXPECT_EQ(must(RegId<u64>::make(id)).value(), id);
}

TEST_F(OneRegs, AreListedAndEachOfTheListIsRead) {
    REQUIRE_CAP(kvm(), cap::one_reg);
    Guest guest(kvm());
    for (const u64 id : must(guest.vcpu().reg_list())) {
        std::byte bytes[256];
        ASSERT_LE(reg_size(id), sizeof bytes) << std::hex << id;
        EXPECT_OK(guest.vcpu().one_reg(id, std::span(bytes).first(reg_size(id)))) << std::hex << id;
    }
}

}  // namespace
}  // namespace kvm::test
