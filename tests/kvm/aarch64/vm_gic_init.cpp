// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What a GICv3 and its ITS refuse while they are set up, and after.

#include "gic_guest.hpp"

#include <cerrno>

namespace kvm::test {
namespace {

using namespace kvm::aarch64;

constexpr u64 redist_size = vgic::v3_redist_size;

/// A region of `count` redistributors.
constexpr u64 region(u64 count, u64 address, u64 index, u64 flags = 0) {
    return count << 52 | address | flags << 12 | index;
}

/// A VM with vCPUs, a GICv3 that is nowhere yet, and no memory.
class GicSetUp : public WithGicV3 {
protected:
    void SetUp() override {
        WithGicV3::SetUp();
        if (!IsSkipped()) {
            vm_ = must(kvm().create_vm());
        }
    }
    Vm& vm() { return *vm_; }
    void add_vcpus(u32 count) {
        for (u32 i = 0; i < count; ++i, ++vcpus_) {
            Vcpu& vcpu = list_.emplace_back(must(vm().create_vcpu(VcpuId(vcpus_))));
            must(vcpu.init(vcpu_init(vm())));
        }
    }
    Vcpu& vcpu(std::size_t n) { return list_.at(n); }
    Device create() { return must(vm().create_device(DeviceType::arm_vgic_v3)); }
    Device create_its() { return must(vm().create_device(DeviceType::arm_vgic_its)); }
    /// Where no memory is to run from: the errors of the GIC come first.
    int run_error(std::size_t n = 0) {
        const Watchdog watchdog(std::chrono::seconds(1));
        const auto exit = vcpu(n).run();
        return exit ? 0 : exit.error().code;
    }

private:
    std::optional<Vm> vm_;
    std::vector<Vcpu> list_;
    u32 vcpus_ = 0;
};

TEST_F(GicSetUp, OfRedistributorsTheOldWayAndTheNewAreNotMixed) {
    const Device gic = create();
    ASSERT_OK(gic.set_attr(vgic::v3_addr_redist, layout::redist));
    EXPECT_ERRNO(gic.set_attr(vgic::v3_addr_redist_region, region(2, 0x10000000, 0)), EINVAL);
    const Vm other = must(kvm().create_vm());
    const Device another = must(other.create_device(DeviceType::arm_vgic_v3));
    ASSERT_OK(another.set_attr(vgic::v3_addr_redist_region, region(2, 0x10000000, 0)));
    EXPECT_ERRNO(another.set_attr(vgic::v3_addr_redist, layout::redist), EINVAL);
}

TEST_F(GicSetUp, ARegionOfRedistributorsIsCheckedWhole) {
    const Device gic = create();
    const auto set = [&](u64 value) { return gic.set_attr(vgic::v3_addr_redist_region, value); };
    EXPECT_ERRNO(set(region(0, layout::redist, 0)), EINVAL) << "of none";
    EXPECT_ERRNO(set(region(2, layout::redist, 0, 1)), EINVAL) << "a flag";
    EXPECT_ERRNO(set(region(2, layout::redist + 0x1000, 0)), EINVAL) << "unaligned, or a flag";
    EXPECT_ERRNO(set(region(2, layout::redist, 1)), EINVAL) << "the first is number 0";
    ASSERT_OK(set(region(2, layout::redist, 0)));
    EXPECT_ERRNO(set(region(2, layout::redist, 0)), EINVAL) << "number 0 is there";
    EXPECT_ERRNO(set(region(2, layout::redist + redist_size, 1)), EINVAL) << "they overlap";
    ASSERT_OK(set(region(2, layout::redist + 2 * redist_size, 1)));
    const u64 beyond = u64(1) << 48;
    EXPECT_ERRNO(set(region(1, beyond, 2)), E2BIG) << "beyond the guest's address bits";
}

TEST_F(GicSetUp, ARegionOfRedistributorsIsReadByItsNumber) {
    const Device gic = create();
    ASSERT_OK(gic.set_attr(vgic::v3_addr_redist_region, region(2, layout::redist, 0)));
    const auto read = [&](u64 index) {
        u64 value = index;
        const DeviceAttr attr{0, vgic::v3_addr_redist_region.group,
                              vgic::v3_addr_redist_region.attr, reinterpret_cast<u64>(&value)};
        const auto done = call(gic.fd(), op::get_device_attr, attr);
        return done ? Result<u64>(value) : std::unexpected(done.error());
    };
    EXPECT_EQ(must(read(0)), region(2, layout::redist, 0));
    EXPECT_ERRNO(read(1), ENOENT);
}

TEST_F(GicSetUp, TheDistributorAndTheRedistributorsDoNotOverlap) {
    add_vcpus(1);
    const Device gic = create();
    ASSERT_OK(gic.set_attr(vgic::v3_addr_redist, layout::dist));
    ASSERT_OK(gic.set_attr(vgic::v3_addr_dist, layout::dist));
    must(gic.set_attr(vgic::nr_irqs, 64));
    must(vgic::command(gic, vgic::ctrl_init));
    EXPECT_EQ(run_error(), EINVAL);
}

TEST_F(GicSetUp, AVcpuDoesNotRunBeforeTheGicIsWhole) {
    const auto run_after = [&](int steps) {  // in a VM of its own, for the failure is its end
        const Vm vm = must(kvm().create_vm());
        Vcpu vcpu = must(vm.create_vcpu(VcpuId(0)));
        must(vcpu.init(vcpu_init(vm)));
        const Device gic = must(vm.create_device(DeviceType::arm_vgic_v3));
        if (steps > 0) {
            must(gic.set_attr(vgic::v3_addr_dist, layout::dist));
        }
        if (steps > 1) {
            must(gic.set_attr(vgic::v3_addr_redist, layout::redist));
        }
        const auto exit = vcpu.run();
        EXPECT_FALSE(exit);
        EXPECT_ERRNO(vcpu.run(), EIO) << "the VM is at its end";
        return exit ? 0 : exit.error().code;
    };
    EXPECT_EQ(run_after(0), ENXIO) << "it has no addresses";
    EXPECT_EQ(run_after(1), ENXIO) << "none for its redistributors";
    EXPECT_EQ(run_after(2), EBUSY) << "it is not initialised";
}

TEST_F(GicSetUp, EveryVcpuNeedsARedistributor) {
    add_vcpus(3);
    const Device gic = create();
    ASSERT_OK(gic.set_attr(vgic::v3_addr_dist, layout::dist));
    ASSERT_OK(gic.set_attr(vgic::v3_addr_redist_region, region(2, layout::redist, 0)));
    must(vgic::command(gic, vgic::ctrl_init));
    EXPECT_NE(run_error(2), 0) << "there are two for three";
}

TEST_F(GicSetUp, AVcpuMayComeAfterTheGicButNotAfterItsInit) {
    const Device gic = create();
    ASSERT_OK(gic.set_attr(vgic::v3_addr_dist, layout::dist));
    ASSERT_OK(gic.set_attr(vgic::v3_addr_redist, layout::redist));
    add_vcpus(1);
    must(vgic::command(gic, vgic::ctrl_init));
    EXPECT_ERRNO(vm().create_vcpu(VcpuId(1)), EBUSY);
    EXPECT_ERRNO(gic.set_attr(vgic::nr_irqs, 96), EBUSY);
    EXPECT_OK(vgic::command(gic, vgic::ctrl_init)) << "twice is no error";
}

TEST_F(GicSetUp, NoGicIsMadeOnceAVcpuHasRun) {
    Guest guest(kvm());
    guest.load(guests::halt());
    guest.run_to<exit::SystemEvent>();
    EXPECT_ERRNO(guest.vm().create_device(DeviceType::arm_vgic_v3), EBUSY);
}

TEST_F(GicSetUp, RedistributorsTellWhichIsTheLast) {
    add_vcpus(3);
    const Device gic = create();
    ASSERT_OK(gic.set_attr(vgic::v3_addr_dist, layout::dist));
    // The first two, then a hole, then the third.
    ASSERT_OK(gic.set_attr(vgic::v3_addr_redist_region, region(2, layout::redist, 0)));
    ASSERT_OK(
        gic.set_attr(vgic::v3_addr_redist_region, region(1, layout::redist + 4 * redist_size, 1)));
    must(vgic::command(gic, vgic::ctrl_init));
    constexpr u32 typer = 8, last = 0x10;
    const bool ends[] = {false, true, true};
    for (u64 cpu = 0; cpu < 3; ++cpu) {
        const u32 value = must(gic.attr(vgic::redist_reg(cpu, typer)));
        EXPECT_EQ(value >> 8 & 0xffff, cpu) << "its processor's number";
        EXPECT_EQ((value & last) != 0, ends[cpu]) << cpu;
        EXPECT_EQ(must(gic.attr(vgic::redist_reg(cpu, typer + 4))), cpu) << "its affinity";
    }
    EXPECT_ERRNO(gic.attr(vgic::redist_reg(3, typer)), EINVAL) << "no such vCPU";
}

TEST_F(GicSetUp, RegistersNeedTheInitAndTheirAlignment) {
    add_vcpus(1);
    const Device gic = create();
    EXPECT_ERRNO(gic.attr(vgic::dist_reg(0, 0)), EBUSY);
    EXPECT_ERRNO(gic.attr(vgic::redist_reg(0, 0)), EBUSY);
    ASSERT_OK(gic.set_attr(vgic::v3_addr_dist, layout::dist));
    ASSERT_OK(gic.set_attr(vgic::v3_addr_redist, layout::redist));
    must(vgic::command(gic, vgic::ctrl_init));
    EXPECT_OK(gic.attr(vgic::dist_reg(0, 0)));
    EXPECT_ERRNO(gic.attr(vgic::redist_reg(7, 0)), EINVAL) << "no such vCPU";
    EXPECT_ERRNO(gic.attr(vgic::cpu_sysreg(0, 0x3fff)), ENOENT);
    EXPECT_ERRNO(gic.attr(vgic::level_info(0, 33)), EINVAL) << "not a multiple of 32";
}

class ItsSetUp : public GicSetUp {
protected:
    void SetUp() override {
        GicSetUp::SetUp();
        if (!IsSkipped() && !must(vm().has_device(DeviceType::arm_vgic_its))) {
            GTEST_SKIP() << "needs KVM_DEV_TYPE_ARM_VGIC_ITS, which this KVM lacks";
        }
    }
};

TEST_F(ItsSetUp, TakesAnAlignedAddressOnce) {
    const Device its = create_its();
    EXPECT_ERRNO(its.set_attr(vgic::its_addr, 0x08080000 + 0x1000), EINVAL);
    EXPECT_ERRNO(its.set_attr(vgic::its_addr, u64(1) << 48), E2BIG);
    ASSERT_OK(its.set_attr(vgic::its_addr, 0x08080000));
    EXPECT_ERRNO(its.set_attr(vgic::its_addr, 0x08080000), EEXIST);
    EXPECT_OK(vgic::command(its, vgic::ctrl_init));
}

TEST_F(ItsSetUp, ThereMayBeSeveral) {
    const Device gic = create();
    const Device one = create_its();
    const Device two = create_its();
    ASSERT_OK(one.set_attr(vgic::its_addr, 0x08080000));
    ASSERT_OK(two.set_attr(vgic::its_addr, 0x080c0000));
    EXPECT_EQ(must(one.attr(vgic::its_addr)), 0x08080000u);
    EXPECT_EQ(must(two.attr(vgic::its_addr)), 0x080c0000u);
}

TEST_F(ItsSetUp, RegistersNeedItsAddressAndTheirAlignment) {
    add_vcpus(1);
    const Device gic = create();
    const Device its = create_its();
    constexpr u32 typer = 8;
    EXPECT_ERRNO(its.attr(vgic::its_reg(typer)), ENXIO);
    ASSERT_OK(its.set_attr(vgic::its_addr, 0x08080000));
    must(vgic::command(its, vgic::ctrl_init));
    EXPECT_OK(its.attr(vgic::its_reg(typer)));
    EXPECT_ERRNO(its.attr(vgic::its_reg(typer + 4)), EINVAL) << "eight bytes";
    EXPECT_ERRNO(its.attr(vgic::its_reg(0xff00)), ENXIO);
}

TEST_F(ItsSetUp, TablesAreSavedWhereTheGuestHasPutThem) {
    add_vcpus(1);
    const Device gic = create();
    const Device its = create_its();
    ASSERT_OK(its.set_attr(vgic::its_addr, 0x08080000));
    must(vgic::command(its, vgic::ctrl_init));
    EXPECT_OK(vgic::command(its, vgic::its_save_tables)) << "there are none so far";
    EXPECT_OK(vgic::command(its, vgic::its_restore_tables));
    EXPECT_FALSE(must(its.has_attr(vgic::nr_irqs)));
}

}  // namespace
}  // namespace kvm::test
