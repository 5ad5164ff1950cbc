// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <support/guest.hpp>

namespace kvm::test {
namespace {

class VcpuArm : public WithKvm {};

TEST_F(VcpuArm, HasAPreferredTarget) {
    const Vm vm = must(kvm().create_vm());
    const VcpuInit target = must(vm.preferred_target());
    EXPECT_NE(target.target, ~0u);
    EXPECT_TRUE(std::all_of(std::begin(target.features), std::end(target.features),
                            [](u32 word) { return word == 0; }));
}

TEST_F(VcpuArm, DoesNotRunBeforeItIsInitialised) {
    const Vm vm = must(kvm().create_vm());
    Vcpu vcpu = must(vm.create_vcpu(VcpuId(0)));
    EXPECT_ERRNO(vcpu.run(), ENOEXEC);
    EXPECT_ERRNO(vcpu.one_reg(pc), ENOEXEC);
    EXPECT_ERRNO(vcpu.reg_list(), ENOEXEC);
}

TEST_F(VcpuArm, IsInitialisedForItsTargetOnly) {
    const Vm vm = must(kvm().create_vm());
    Vcpu vcpu = must(vm.create_vcpu(VcpuId(0)));
    VcpuInit init = vcpu_init(vm);
    init.target = 0x7fffffff;
    EXPECT_ERRNO(vcpu.init(init), EINVAL);
    init = vcpu_init(vm);
    init.features[6] = 1u << 31;
    EXPECT_ERRNO(vcpu.init(init), ENOENT);
    EXPECT_OK(vcpu.init(vcpu_init(vm)));
}

TEST_F(VcpuArm, IsResetByTheSameInitAgain) {
    Guest guest(kvm());
    guest.set(x(3), 0x1234);
    guest.set(pc, 0x5678);
    ASSERT_OK(guest.vcpu().init(vcpu_init(guest.vm())));
    EXPECT_EQ(guest.get(x(3)), 0u);
    EXPECT_EQ(guest.get(pc), 0u);
    EXPECT_EQ(guest.get(pstate), 0x3c5u);
    EXPECT_ERRNO(
        guest.vcpu().init(vcpu_init(guest.vm(), {VcpuFeature::power_off, VcpuFeature::el1_32bit})),
        EINVAL);
}

TEST_F(VcpuArm, StartsPoweredOffWhereAskedTo) {
    Guest guest(kvm(), {.features = {VcpuFeature::power_off}});
    EXPECT_EQ(must(guest.vcpu().mp_state()).mp_state, MpStateValue::stopped);
    guest.load(guests::halt());
    ASSERT_OK(guest.vcpu().set_mp_state({MpStateValue::runnable}));
    EXPECT_EQ(guest.run_to<exit::SystemEvent>().type, exit::SystemEventType::shutdown);
}

TEST_F(VcpuArm, CoreRegistersAreWhatWasSet) {
    Guest guest(kvm());
    guest.set(x(0), 0x1122334455667788);
    guest.set(x(30), 30);
    guest.set(sp, 0x8000);
    guest.set(sp_el1, 0x9000);
    guest.set(elr_el1, 0xa000);
    guest.set(spsr(0), 0x3c5);
    guest.set(v(31), {{0xfedcba9876543210, 0x0123456789abcdef}});
    guest.set(fpcr, 0x01000000);
    guest.set(fpsr, 0x1f);
    EXPECT_EQ(guest.get(x(0)), 0x1122334455667788u);
    EXPECT_EQ(guest.get(x(30)), 30u);
    EXPECT_EQ(guest.get(sp), 0x8000u);
    EXPECT_EQ(guest.get(sp_el1), 0x9000u);
    EXPECT_EQ(guest.get(elr_el1), 0xa000u);
    EXPECT_EQ(guest.get(spsr(0)), 0x3c5u);
    EXPECT_EQ(guest.get(v(31)).words[0], 0xfedcba9876543210u);
    EXPECT_EQ(guest.get(v(31)).words[1], 0x0123456789abcdefu);
    EXPECT_EQ(guest.get(v(30)).words[0], 0u);
    EXPECT_EQ(guest.get(fpcr), 0x01000000u);
    EXPECT_EQ(guest.get(fpsr), 0x1fu);
}

TEST_F(VcpuArm, SystemRegistersAreWhatWasSet) {
    Guest guest(kvm());
    guest.set(vbar_el1, 0x10800);
    guest.set(ttbr0_el1, 0x20000);
    EXPECT_EQ(guest.get(vbar_el1), 0x10800u);
    EXPECT_EQ(guest.get(ttbr0_el1), 0x20000u);
    EXPECT_EQ(guest.get(sctlr_el1) & 1, 0u) << "the MMU is off after reset";
    EXPECT_EQ(guest.get(mpidr_el1), 0x80000000u);
    EXPECT_NE(guest.get(sys_reg(3, 0, 0, 0, 0)), 0u) << "MIDR_EL1";
}

TEST_F(VcpuArm, ARegisterThatIsNoneIsEnoentAndHalfOfOneEinval) {
    Guest guest(kvm());
    EXPECT_ERRNO(guest.vcpu().one_reg(sys_reg(3, 7, 15, 15, 7)), ENOENT);
    EXPECT_ERRNO(guest.vcpu().set_one_reg(sys_reg(3, 7, 15, 15, 7), 0), ENOENT);
    EXPECT_ERRNO(guest.vcpu().one_reg(must(RegId<u32>::make(pc.value() ^ u64(1) << 52))), EINVAL)
        << "half of the program counter";
}

TEST_F(VcpuArm, TheListHasRegistersOfEachKind) {
    Guest guest(kvm());
    const RegIdList list = must(guest.vcpu().reg_list());
    EXPECT_GT(list.size(), 100u);
    for (const u64 id : {pc.value(), pstate.value(), x(0).value(), fpcr.value(), timer_cval.value(),
                         timer_ctl.value(), psci_version.value()}) {
        EXPECT_TRUE(std::find(list.begin(), list.end(), id) != list.end()) << std::hex << id;
    }
}

TEST_F(VcpuArm, FirmwareRegistersTellPsciAndItsCalls) {
    Guest guest(kvm());
    EXPECT_GE(guest.get(psci_version), 0x00010000u);
    guest.set(psci_version, 2);  // 0.2
    EXPECT_EQ(guest.get(psci_version), 2u);
    EXPECT_ERRNO(guest.vcpu().set_one_reg(psci_version, 0x7fff0000), EINVAL);
    EXPECT_EQ(guest.get(std_bmap) & 1, 1u) << "TRNG";
    EXPECT_EQ(guest.get(std_hyp_bmap) & 1, 1u) << "PV time";
    guest.set(std_bmap, 0);
    EXPECT_EQ(guest.get(std_bmap), 0u);
}

TEST_F(VcpuArm, SveIsFinalisedOnce) {
    REQUIRE_CAP(kvm(), cap::arm_sve);
    Guest guest(kvm(), {.features = {VcpuFeature::sve}});
    const Wide<8> lengths = guest.get(sve_vls);
    EXPECT_EQ(lengths.words[0] & 1, 1u) << "128 bits";
    EXPECT_ERRNO(guest.vcpu().run(), EPERM);
    EXPECT_ERRNO(guest.vcpu().one_reg(z(0)), EPERM);
    guest.set(sve_vls, {{1}});
    ASSERT_OK(guest.vcpu().finalize(VcpuFeature::sve));
    EXPECT_ERRNO(guest.vcpu().finalize(VcpuFeature::sve), EPERM);
    EXPECT_ERRNO(guest.vcpu().set_one_reg(sve_vls, {{1}}), EPERM);
    Wide<32> vector = {};
    vector.words[0] = 0x0706050403020100;
    vector.words[1] = 7;
    guest.set(z(31), vector);
    EXPECT_EQ(guest.get(z(31)).words[0], vector.words[0]);
    EXPECT_EQ(guest.get(z(31)).words[1], 7u);
    guest.set(p(15), {{0xffff}});
    EXPECT_EQ(guest.get(p(15)).words[0], 0xffffu);
    guest.set(ffr(), {{0xf}});
    EXPECT_EQ(guest.get(ffr()).words[0], 0xfu);
    EXPECT_FALSE(guest.vcpu().one_reg(v(0))) << "a vCPU with SVE has Z registers instead";
    guest.load(guests::halt());
    guest.run_to<exit::SystemEvent>();
}

TEST_F(VcpuArm, WithoutSveThereIsNothingToFinalise) {
    Guest guest(kvm());
    EXPECT_FALSE(guest.vcpu().finalize(VcpuFeature::sve));
    EXPECT_FALSE(guest.vcpu().one_reg(z(0)));
    EXPECT_ERRNO(guest.vcpu().finalize(VcpuFeature::psci_0_2), EINVAL);
}

TEST_F(VcpuArm, ASErrorIsInjectedOnceTheGuestLetsItIn) {
    REQUIRE_CAP(kvm(), cap::vcpu_events);
    Guest guest(kvm());
    guest.load(guests::handlers());
    guest.set(x(9), layout::mmio);
    EXPECT_EQ(guest.run_to_write(layout::mmio), 0u);
    EXPECT_EQ(must(guest.vcpu().vcpu_events()).exception.serror_pending, 0);
    VcpuEvents events = {};
    events.exception.serror_pending = 1;
    ASSERT_OK(guest.vcpu().set_vcpu_events(events));
    EXPECT_EQ(must(guest.vcpu().vcpu_events()).exception.serror_pending, 1);
    EXPECT_EQ(guest.run_to_write(layout::mmio), 7 * 16u) << "SError from the current EL";
    EXPECT_EQ(guest.run_to_write(layout::mmio + 8) >> 26 & 0x3f, 0x2fu);
    EXPECT_EQ(must(guest.vcpu().vcpu_events()).exception.serror_pending, 0);
}

TEST_F(VcpuArm, AnSErrorsSyndromeNeedsRas) {
    REQUIRE_CAP(kvm(), cap::vcpu_events);
    Guest guest(kvm());
    VcpuEvents events = {};
    events.exception.serror_pending = 1;
    events.exception.serror_has_esr = 1;
    events.exception.serror_esr = 0x123;
    if (must(kvm().check(cap::arm_inject_serror_esr))) {
        guest.load(guests::handlers());
        guest.set(x(9), layout::mmio);
        guest.run_to_write(layout::mmio);
        ASSERT_OK(guest.vcpu().set_vcpu_events(events));
        EXPECT_EQ(guest.run_to_write(layout::mmio), 7 * 16u);
        EXPECT_EQ(guest.run_to_write(layout::mmio + 8) & 0xffffff, 0x123u);
        events.exception.serror_esr = u64(1) << 40;
    }
    EXPECT_ERRNO(guest.vcpu().set_vcpu_events(events), EINVAL);
}

TEST_F(VcpuArm, AnExternalAbortIsInjectedAtOnce) {
    REQUIRE_CAP(kvm(), cap::arm_inject_ext_dabt);
    Guest guest(kvm());
    guest.load(guests::handlers());
    guest.set(x(9), layout::mmio);
    EXPECT_EQ(guest.run_to_write(layout::mmio), 0u);
    VcpuEvents events = {};
    events.exception.ext_dabt_pending = 1;
    ASSERT_OK(guest.vcpu().set_vcpu_events(events));
    EXPECT_EQ(guest.run_to_write(layout::mmio), 4 * 16u) << "synchronous, from the current EL";
    EXPECT_EQ(guest.run_to_write(layout::mmio + 8) >> 26 & 0x3f, 0x25u) << "a data abort";
}

}  // namespace
}  // namespace kvm::test
