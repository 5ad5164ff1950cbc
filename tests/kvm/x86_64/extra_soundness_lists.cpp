// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Misuse that compiles and must still not reach memory that is nobody's: see docs/soundness.md.
#include <cerrno>
#include <support/guest.hpp>
#include <support/pages.hpp>
#include <vector>

namespace kvm::test {
namespace {

class SoundnessX86 : public WithKvm {};

constexpr Gpa above{layout::memory_size};

TEST_F(SoundnessX86, ACountBeyondTheCapacityNeverReachesTheKernel) {
    Guest guest(kvm());
    const CpuidList supported = must(kvm().supported_cpuid());
    CpuidList leaves = must(CpuidList::from(supported));
    leaves.header().nent = 1000;
    EXPECT_EQ(leaves.size(), supported.size());
    EXPECT_ERRNO(guest.vcpu().set_cpuid2(leaves), EMSGSIZE);
    OldCpuidList old = must(OldCpuidList::with_capacity(1));
    old.header().nent = 2;
    EXPECT_ERRNO(guest.vcpu().set_cpuid(old), EMSGSIZE);
    GsiRouting routing = must(GsiRouting::with_capacity(1));
    routing.header().nr = 2;
    EXPECT_ERRNO(guest.vm().set_gsi_routing(routing), EMSGSIZE);
    PmuEvents events = must(PmuEvents::with_capacity(1));
    events.header().nevents = 2;
    EXPECT_ERRNO(guest.vm().set_pmu_event_filter(events), EMSGSIZE);
    NestedStateBlob nested = must(NestedStateBlob::with_size(sizeof(NestedState)));
    nested.header().size = 1 << 20;
    EXPECT_TRUE(nested.data().empty());
    EXPECT_ERRNO(guest.vcpu().set_nested_state(nested), EMSGSIZE);
}

TEST_F(SoundnessX86, RoutingTakesAsManyEntriesAsTheKernelDoes) {
    const Vm vm = must(kvm().create_vm());
    ASSERT_OK(vm.create_irqchip());
    const int most = must(vm.check(cap::irq_routing));
    ASSERT_GT(most, 1024) << "what others stop at";
    std::vector<IrqRoutingEntry> entries(static_cast<std::size_t>(most));
    for (std::size_t i = 0; i < entries.size(); ++i) {
        entries[i].gsi = static_cast<u32>(i);
        entries[i].type = IrqRoutingType::msi;
        entries[i].u.msi.address_lo = 0xfee0'0000;
        entries[i].u.msi.data = 0x20;
    }
    EXPECT_OK(vm.set_gsi_routing(must(GsiRouting::from(entries))));
    entries.resize(static_cast<std::size_t>(most) + 1);
    EXPECT_ERRNO(vm.set_gsi_routing(must(GsiRouting::from(entries))), EINVAL);
}

TEST_F(SoundnessX86, AnAddressSpaceOfItsOwnHasSlotsOfItsOwn) {
    Guest guest(kvm());
    if (must(guest.vm().check(cap::multi_address_space)) < 2) {
        GTEST_SKIP() << lacks("MULTI_ADDRESS_SPACE");
    }
    Pages pages(1);
    const Slot in_smm{1 << 16 | 0};  // the guest's slot 0 is another
    Memslot slot = must(guest.vm().add_memory(in_smm, Gpa(0), pages.bytes()));
    EXPECT_ERRNO(guest.vm().add_memory(in_smm, above, pages.bytes()), EEXIST);
    EXPECT_OK(guest.vm().remove_memory(std::move(slot)));
}

}  // namespace
}  // namespace kvm::test
