// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Misuse that compiles and must still not reach memory that is nobody's: see docs/soundness.md.
#include <cerrno>
#include <support/guest.hpp>

namespace kvm::test {
namespace {

class Soundness : public WithKvm {};

TEST_F(Soundness, ASlotThatHasATokenIsNotChangedBehindIt) {
    Guest guest(kvm());
    const u64 memory = reinterpret_cast<u64>(guest.memory().data());
    // Were slot 0 removed and made again, longer, its token's bitmap would be too short.
    EXPECT_ERRNO(guest.vm().set_user_memory_region({0, 0, 0, 0, 0}), EEXIST);
    EXPECT_ERRNO(guest.vm().set_user_memory_region({0, 0, 0, 0x1000, memory}), EEXIST);
    UserspaceMemoryRegion2 region = {};
    EXPECT_ERRNO(guest.vm().set_user_memory_region2(region), EEXIST);
    EXPECT_OK(guest.vm().remove_memory(std::move(guest.slot())));
    EXPECT_OK(guest.vm().set_user_memory_region({0, 0, 0, 0x1000, memory})) << "now it has none";
}

}  // namespace
}  // namespace kvm::test
