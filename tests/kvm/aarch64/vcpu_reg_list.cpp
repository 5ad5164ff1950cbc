// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The list of a vCPU's registers, for each choice of features.

#include <algorithm>
#include <cerrno>
#include <set>
#include <support/guest.hpp>

namespace kvm::test {
namespace {

using namespace kvm::aarch64;

class RegListArm : public WithKvm {
protected:
    using Ids = std::set<u64>;

    static Ids ids(Vcpu& vcpu) {
        const RegIdList list = must(vcpu.reg_list());
        const Ids found(list.begin(), list.end());
        EXPECT_EQ(found.size(), list.size()) << "none is there twice";
        return found;
    }
    Ids ids(std::vector<VcpuFeature> features) {
        Guest guest(kvm(), {.features = features});
        if (std::ranges::find(features, VcpuFeature::sve) != features.end()) {
            must(guest.vcpu().finalize(VcpuFeature::sve));
        }
        return ids(guest.vcpu());
    }
    static Ids without(const Ids& all, const Ids& these) {
        Ids rest;
        std::ranges::set_difference(all, these, std::inserter(rest, rest.end()));
        return rest;
    }
    /// Reads each register and writes its own value back.
    static void copy_each(Vcpu& vcpu) {
        for (const u64 id : ids(vcpu)) {
            std::byte bytes[256];
            ASSERT_LE(reg_size(id), sizeof bytes) << std::hex << id;
            const auto value = std::span(bytes).first(reg_size(id));
            EXPECT_OK(vcpu.one_reg(id, value)) << std::hex << id;
            if (id == sve_vls.value()) {
                EXPECT_ERRNO(vcpu.set_one_reg(id, value), EPERM) << "it is final";
            } else {
                EXPECT_OK(vcpu.set_one_reg(id, value)) << std::hex << id;
            }
        }
    }
};

TEST_F(RegListArm, EveryRegisterTakesItsOwnValueBack) {
    Guest guest(kvm());
    copy_each(guest.vcpu());
    guest.load(guests::halt());
    guest.run_to<exit::SystemEvent>();
    copy_each(guest.vcpu());
}

TEST_F(RegListArm, TooShortAListIsE2bigAndTellsHowManyThereAre) {
    Guest guest(kvm());
    RegList none = {};
    EXPECT_ERRNO(call(guest.vcpu().fd(), op::get_reg_list, none), E2BIG);
    EXPECT_EQ(none.n, ids(guest.vcpu()).size());
}

TEST_F(RegListArm, WithAPmuHasItsRegistersToo) {
    REQUIRE_CAP(kvm(), cap::arm_pmu_v3);
    const Ids more = ids({VcpuFeature::pmu_v3});
    const Ids base = ids(std::vector<VcpuFeature>());
    const u64 pmcntenset = sys_reg(3, 3, 9, 12, 1).value();
    EXPECT_TRUE(more.contains(pmcntenset));
    EXPECT_FALSE(base.contains(pmcntenset));
    EXPECT_TRUE(without(base, more).empty());
}

TEST_F(RegListArm, WithSveHasVectorsInsteadOfTheirLowHalves) {
    REQUIRE_CAP(kvm(), cap::arm_sve);
    const Ids with = ids({VcpuFeature::sve}), base = ids(std::vector<VcpuFeature>());
    EXPECT_TRUE(with.contains(z(0).value()) && with.contains(z(31).value()));
    EXPECT_TRUE(with.contains(p(15).value()) && with.contains(ffr().value()));
    EXPECT_TRUE(with.contains(sve_vls.value()));
    EXPECT_EQ(without(base, with).size(), 32u) << "V0 to V31";
    EXPECT_TRUE(base.contains(v(0).value()) && !with.contains(v(0).value()));
    Guest guest(kvm(), {.features = {VcpuFeature::sve}});
    EXPECT_ERRNO(guest.vcpu().reg_list(), EPERM) << "it is not final so far";
    must(guest.vcpu().finalize(VcpuFeature::sve));
    copy_each(guest.vcpu());
}

TEST_F(RegListArm, WithPointerAuthenticationHasItsKeys) {
    REQUIRE_CAP(kvm(), cap::arm_ptrauth_address);
    const Ids with = ids({VcpuFeature::ptrauth_address, VcpuFeature::ptrauth_generic});
    const Ids base = ids(std::vector<VcpuFeature>());
    EXPECT_TRUE(without(base, with).empty());
    EXPECT_EQ(without(with, base).size(), 10u) << "five keys of 128 bits";
    EXPECT_TRUE(with.contains(sys_reg(3, 0, 2, 1, 0).value())) << "APIAKEYLO_EL1";
    Guest guest(kvm(), {.features = {VcpuFeature::ptrauth_address, VcpuFeature::ptrauth_generic}});
    copy_each(guest.vcpu());
}

class WidthArm : public WithKvm {};

TEST_F(WidthArm, VcpusOf32And64BitsAreNotMixed) {
    REQUIRE_CAP(kvm(), cap::arm_el1_32bit);
    for (const bool wide_first : {false, true}) {
        const Vm vm = must(kvm().create_vm());
        Vcpu one = must(vm.create_vcpu(VcpuId(0)));
        Vcpu two = must(vm.create_vcpu(VcpuId(1)));
        const VcpuInit wide = vcpu_init(vm);
        const VcpuInit narrow = vcpu_init(vm, {VcpuFeature::el1_32bit});
        ASSERT_OK(one.init(wide_first ? wide : narrow));
        EXPECT_ERRNO(two.init(wide_first ? narrow : wide), EINVAL);
        EXPECT_OK(two.init(wide_first ? wide : narrow));
    }
}

TEST_F(WidthArm, AVcpuOf32BitsNeedsTheCapability) {
    if (must(kvm().check(cap::arm_el1_32bit))) {
        Guest guest(kvm(), {.features = {VcpuFeature::el1_32bit}});
        EXPECT_EQ(guest.get(pstate) & 0x10, 0x10u) << "AArch32";
        return;
    }
    const Vm vm = must(kvm().create_vm());
    Vcpu vcpu = must(vm.create_vcpu(VcpuId(0)));
    EXPECT_ERRNO(vcpu.init(vcpu_init(vm, {VcpuFeature::el1_32bit})), EINVAL);
}

TEST_F(WidthArm, WithoutAnyAArch32ItsIdRegistersAreZeroAndIgnoreWrites) {
    Guest guest(kvm());
    if ((guest.get(sys_reg(3, 0, 0, 4, 0)) & 0xf) != 1) {  // ID_AA64PFR0_EL1.EL0
        GTEST_SKIP() << "needs a processor without AArch32, which this is not";
    }
    const RegId<u64> none[] = {
        sys_reg(3, 0, 0, 1, 0), sys_reg(3, 0, 0, 1, 1), sys_reg(3, 0, 0, 1, 2),
        sys_reg(3, 0, 0, 1, 4), sys_reg(3, 0, 0, 1, 7), sys_reg(3, 0, 0, 2, 0),
        sys_reg(3, 0, 0, 2, 5), sys_reg(3, 0, 0, 2, 6), sys_reg(3, 0, 0, 3, 0),
        sys_reg(3, 0, 0, 3, 1), sys_reg(3, 0, 0, 3, 2), sys_reg(3, 0, 0, 3, 4),
    };
    for (const RegId<u64> id : none) {
        EXPECT_EQ(guest.get(id), 0u) << std::hex << id.value();
        EXPECT_OK(guest.vcpu().set_one_reg(id, ~u64(0))) << std::hex << id.value();
        EXPECT_EQ(guest.get(id), 0u) << std::hex << id.value();
    }
}

}  // namespace
}  // namespace kvm::test
