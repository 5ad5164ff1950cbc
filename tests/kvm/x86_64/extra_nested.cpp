// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A guest that is a hypervisor, with AMD's SVM: exceptions and SMIs while its own guest runs, and
// that it goes on in another VM.

#include <algorithm>
#include <cerrno>
#include <support/guest.hpp>

KVMXX_GUEST(nested)
KVMXX_GUEST_LABEL(nested, inner)
KVMXX_GUEST_LABEL(nested, exception)
KVMXX_GUEST(smm)

namespace kvm::test {
namespace {

constexpr u64 vmcb = layout::data, host_save = layout::data + 0x1000;
constexpr u32 hsave_pa = 0xc001'0117;
constexpr u64 efer_svme = 0x1000;
constexpr u8 page_fault = 14;

/// Fields of a VMCB: AMD64 Architecture Programmer's Manual, volume 2, appendix B.
namespace field {
constexpr u64 exceptions = vmcb + 0x08, intercepts = vmcb + 0x0c, more_intercepts = vmcb + 0x10,
              asid = vmcb + 0x58, exit_code = vmcb + 0x70, exit_info1 = vmcb + 0x78,
              exit_info2 = vmcb + 0x80, es = vmcb + 0x400, cs = vmcb + 0x410, ss = vmcb + 0x420,
              ds = vmcb + 0x430, gdtr = vmcb + 0x460, idtr = vmcb + 0x480, efer = vmcb + 0x4d0,
              cr4 = vmcb + 0x548, cr3 = vmcb + 0x550, cr0 = vmcb + 0x558, dr7 = vmcb + 0x560,
              dr6 = vmcb + 0x568, rflags = vmcb + 0x570, rip = vmcb + 0x578, rsp = vmcb + 0x5d8,
              pat = vmcb + 0x668;
}
constexpr u64 exit_by_exception = 0x40, exit_by_shutdown = 0x7f, exit_by_vmmcall = 0x81;

class NestedSvm : public WithKvm {
protected:
    void SetUp() override {
        WithKvm::SetUp();
        if (IsSkipped()) {
            return;
        }
        REQUIRE_CAP(kvm(), cap::nested_state);
        const CpuidList leaves = must(kvm().supported_cpuid());
        const auto leaf = std::ranges::find(leaves, 0x8000'0001u, &CpuidEntry2::function);
        if (leaf == leaves.end() || !(leaf->ecx & 1u << 2)) {
            GTEST_SKIP() << "needs SVM for guests, which this KVM lacks";
        }
    }
    /// The guest is about to run its own, which uses the same memory, tables and handlers.
    static void prepare(Guest& guest) {
        guest.load_long(guests::nested());
        guest.set_gate(page_fault, guests::nested_exception());
        Sregs sregs = must(guest.vcpu().sregs());
        sregs.efer |= efer_svme;
        must(guest.vcpu().set_sregs(sregs));
        must(guest.vcpu().set_msr(hsave_pa, host_save));
        guest.change_regs([](Regs& regs) { regs.rsi = vmcb; });
        guest.write<u32>(field::more_intercepts, 1 | 2);  // VMRUN, which is a must, and VMMCALL
        guest.write<u32>(field::asid, 1);
        for (const auto& [address, from] :
             {std::pair(field::es, &sregs.es), std::pair(field::cs, &sregs.cs),
              std::pair(field::ss, &sregs.ss), std::pair(field::ds, &sregs.ds)}) {
            write_segment(guest, address, *from);
        }
        guest.write<u32>(field::gdtr + 4, sregs.gdt.limit);
        guest.write<u64>(field::gdtr + 8, sregs.gdt.base);
        guest.write<u32>(field::idtr + 4, sregs.idt.limit);
        guest.write<u64>(field::idtr + 8, sregs.idt.base);
        const std::pair<u64, u64> registers[] = {
            {field::efer, sregs.efer},
            {field::cr0, sregs.cr0},
            {field::cr3, sregs.cr3},
            {field::cr4, sregs.cr4},
            {field::dr6, 0xffff0ff0},
            {field::dr7, 0x400},
            {field::rflags, 2},
            {field::rip, layout::code + guests::nested_inner()},
            {field::rsp, layout::stack_end - 0x1000},
            {field::pat, 0x0007040600070406},
        };
        for (const auto& [address, value] : registers) {
            guest.write<u64>(address, value);
        }
    }
    static void write_segment(Guest& guest, u64 address, const Segment& from) {
        guest.write<u16>(address, from.selector);
        guest.write<u16>(address + 2, static_cast<u16>(from.type | from.s << 4 | from.dpl << 5 |
                                                       from.present << 7 | from.avl << 8 |
                                                       from.l << 9 | from.db << 10 | from.g << 11));
        guest.write<u32>(address + 4, from.limit);
        guest.write<u64>(address + 8, from.base);
    }
    static std::string output(Guest& guest) { return bytes_of(guest.run_to<exit::IoOut>().data); }
    static bool runs_its_own(Guest& guest) {
        const NestedStateBlob state = must(guest.vcpu().nested_state());
        return (state.header().flags & static_cast<u16>(NestedStateFlag::guest_mode)) != 0;
    }
    /// Adds a page fault, with its address, to what the inner guest is about to do.
    static void add_page_fault(Guest& guest, u64 address) {
        EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
        VcpuEvents events = must(guest.vcpu().vcpu_events());
        events.flags = Flags<VcpuEventFlag>(VcpuEventFlag::payload).bits();
        events.exception = {
            .injected = 0, .nr = page_fault, .has_error_code = 1, .pending = 1, .error_code = 2};
        events.exception_has_payload = 1;
        events.exception_payload = address;
        must(guest.vcpu().set_vcpu_events(events));
    }
};

TEST_F(NestedSvm, TheInnerGuestsExitsAreTheVmmsUnlessItsHypervisorInterceptsThem) {
    Guest guest(kvm());
    prepare(guest);
    EXPECT_FALSE(runs_its_own(guest));
    EXPECT_EQ(output(guest), "n");
    EXPECT_TRUE(runs_its_own(guest));
    EXPECT_EQ(output(guest), "r");
    EXPECT_FALSE(runs_its_own(guest));
    EXPECT_EQ(guest.read<u64>(field::exit_code), exit_by_vmmcall);
}

TEST_F(NestedSvm, AnExceptionThatItsHypervisorInterceptsIsAnExitToItWithItsAddress) {
    Guest guest(kvm());
    REQUIRE_CAP(guest.vm(), cap::exception_payload);
    ASSERT_OK(guest.vm().enable(cap::exception_payload, Switch::on));
    prepare(guest);
    guest.write<u32>(field::exceptions, 1u << page_fault);
    EXPECT_EQ(output(guest), "n");
    add_page_fault(guest, 0x1234'5000);
    EXPECT_EQ(output(guest), "r");
    EXPECT_EQ(guest.read<u64>(field::exit_code), exit_by_exception + page_fault);
    EXPECT_EQ(guest.read<u64>(field::exit_info1), 2u);
    EXPECT_EQ(guest.read<u64>(field::exit_info2), 0x1234'5000u);
}

TEST_F(NestedSvm, AnExceptionThatItsHypervisorLeavesAloneRunsTheInnerGuestsHandler) {
    Guest guest(kvm());
    REQUIRE_CAP(guest.vm(), cap::exception_payload);
    ASSERT_OK(guest.vm().enable(cap::exception_payload, Switch::on));
    prepare(guest);
    EXPECT_EQ(output(guest), "n");
    add_page_fault(guest, 0x1234'5000);
    EXPECT_EQ(output(guest), "x");
    EXPECT_TRUE(runs_its_own(guest));
    EXPECT_EQ(must(guest.vcpu().sregs()).cr2, 0x1234'5000u);
}

/// The inner guest has no handlers at all, and an exception at once.
void prepare_to_fall(Guest& guest) {
    guest.write<u32>(field::idtr + 4, 0);
    guest.write<u16>(layout::code + guests::nested_inner(), 0x0b0f);  // ud2
}

TEST_F(NestedSvm, ATripleFaultOfTheInnerGuestIsItsHypervisorsOrTheEndOfBoth) {
    Guest told(kvm()), untold(kvm());
    prepare(told);
    prepare_to_fall(told);
    told.write<u32>(field::intercepts, 1u << 31);  // SHUTDOWN
    EXPECT_EQ(output(told), "r");
    EXPECT_EQ(told.read<u64>(field::exit_code), exit_by_shutdown);
    prepare(untold);
    prepare_to_fall(untold);
    untold.run_to<exit::Shutdown>();
}

TEST_F(NestedSvm, AStateThatNoneCanHaveIsRefused) {
    Guest guest(kvm());
    prepare(guest);
    EXPECT_EQ(output(guest), "n");
    EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    const auto refused = [&](auto change) {
        NestedStateBlob state = must(guest.vcpu().nested_state());
        change(state.header());
        EXPECT_ERRNO(guest.vcpu().set_nested_state(state), EINVAL);
    };
    refused([](NestedState& state) { state.format = NestedStateFormat::vmx; });
    refused([](NestedState& state) { state.flags |= 0x8000; });
    refused([](NestedState& state) { state.hdr.svm.vmcb_pa += 1; });
    const NestedStateBlob good = must(guest.vcpu().nested_state());
    EXPECT_OK(guest.vcpu().set_nested_state(good));
    Guest plain(kvm());
    EXPECT_ERRNO(plain.vcpu().set_nested_state(good), EINVAL) << "its EFER has no SVME";
}

/// The state of a vCPU that is a hypervisor, to another VM.
void move(Guest& from, Guest& to) {
    EXPECT_EQ(must(from.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    std::ranges::copy(from.memory(), to.memory().begin());
    Vcpu& old = from.vcpu();
    Vcpu& vcpu = to.vcpu();
    must(vcpu.set_msr(hsave_pa, must(old.msr(hsave_pa))));
    must(vcpu.set_sregs(must(old.sregs())));
    must(vcpu.set_regs(must(old.regs())));
    must(vcpu.set_vcpu_events(must(old.vcpu_events())));
    must(vcpu.set_nested_state(must(old.nested_state())));
}

TEST_F(NestedSvm, ItGoesOnInAnotherVmWhileTheInnerGuestRuns) {
    Guest from(kvm()), to(kvm());
    prepare(from);
    EXPECT_EQ(output(from), "n");
    move(from, to);
    EXPECT_TRUE(runs_its_own(to));
    EXPECT_EQ(output(to), "r");
    EXPECT_EQ(to.read<u64>(field::exit_code), exit_by_vmmcall);
}

TEST_F(NestedSvm, AnSmiInterruptsTheInnerGuestWhichGoesOnInAnotherVm) {
    REQUIRE_CAP(kvm(), cap::x86_smm);
    Guest from(kvm()), to(kvm());
    const auto smram = [](Guest& guest) {
        return must(guest.vm().add_memory(Slot(1 << 16), 0_gpa, guest.memory()));
    };
    const auto one [[maybe_unused]] = smram(from);
    const auto two [[maybe_unused]] = smram(to);
    prepare(from);
    from.write(0x38000, guests::smm());
    EXPECT_EQ(output(from), "n");
    ASSERT_OK(from.vcpu().smi());
    EXPECT_EQ(output(from), "s");
    EXPECT_FALSE(runs_its_own(from)) << "what it was is in the saved state's area";
    move(from, to);
    EXPECT_EQ(output(to), "r");
    EXPECT_EQ(to.read<u64>(field::exit_code), exit_by_vmmcall);
    EXPECT_EQ(output(from), "r") << "and the old one as well";
}

}  // namespace
}  // namespace kvm::test
