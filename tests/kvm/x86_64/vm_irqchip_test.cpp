// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <support/guest.hpp>
#include <support/result.hpp>

namespace kvm::test {
namespace {

class VmIrqchip : public WithKvm {
protected:
    void SetUp() override {
        WithKvm::SetUp();
        if (!IsSkipped()) {
            vm_ = must(kvm().create_vm());
        }
    }
    Vm& vm() { return *vm_; }

private:
    std::optional<Vm> vm_;
};

TEST_F(VmIrqchip, IsMadeOnceAndBeforeTheVcpus) {
    EXPECT_OK(vm().create_irqchip());
    EXPECT_ERRNO(vm().create_irqchip(), EEXIST);
    Vm other = must(kvm().create_vm());
    const Vcpu vcpu = must(other.create_vcpu(VcpuId(0)));
    EXPECT_ERRNO(other.create_irqchip(), EINVAL);
}

TEST_F(VmIrqchip, WithoutItThereIsNothingToReadOrRaise) {
    EXPECT_ERRNO(vm().irqchip(IrqchipId::pic_master), ENXIO);
    EXPECT_ERRNO(vm().set_irqchip(Irqchip{}), ENXIO);
    EXPECT_ERRNO(vm().irq_line(Gsi(4), Level::high), ENXIO);
    EXPECT_ERRNO(vm().irq_line_status(Gsi(4), Level::high), ENXIO);
    const auto pit = vm().create_pit2();  // older kernels let it be made, to no use
    EXPECT_TRUE(pit || pit.error().code == ENOENT);
}

TEST_F(VmIrqchip, BothPicsKeepWhatIsSet) {
    must(vm().create_irqchip());
    for (const auto id : {IrqchipId::pic_master, IrqchipId::pic_slave}) {
        SCOPED_TRACE(static_cast<u32>(id));
        Irqchip chip = must(vm().irqchip(id));
        EXPECT_EQ(chip.chip_id, id);
        chip.chip.pic.imr = u8(0xab + static_cast<u32>(id));
        chip.chip.pic.irq_base = 0x30;
        ASSERT_OK(vm().set_irqchip(chip));
        const Irqchip read = must(vm().irqchip(id));
        EXPECT_EQ(read.chip.pic.imr, 0xab + static_cast<u32>(id));
        EXPECT_EQ(read.chip.pic.irq_base, 0x30);
    }
    EXPECT_EQ(must(vm().irqchip(IrqchipId::pic_master)).chip.pic.imr, 0xab) << "each its own";
}

TEST_F(VmIrqchip, TheIoApicKeepsWhatIsSet) {
    must(vm().create_irqchip());
    Irqchip chip = must(vm().irqchip(IrqchipId::ioapic));
    EXPECT_EQ(chip.chip.ioapic.base_address, 0xfec00000u);
    EXPECT_EQ(chip.chip.ioapic.redirtbl[3] & 0x10000, 0x10000u) << "masked at first";
    chip.chip.ioapic.redirtbl[3] = 0x10033;
    chip.chip.ioapic.redirtbl[23] = 0x0100000000010044;
    chip.chip.ioapic.ioregsel = 0x10;
    ASSERT_OK(vm().set_irqchip(chip));
    const Irqchip read = must(vm().irqchip(IrqchipId::ioapic));
    EXPECT_EQ(read.chip.ioapic.redirtbl[3], 0x10033u);
    EXPECT_EQ(read.chip.ioapic.redirtbl[23], 0x0100000000010044u);
    EXPECT_EQ(read.chip.ioapic.ioregsel, 0x10u);
}

TEST_F(VmIrqchip, AChipThatThereIsNotIsRefused) {
    must(vm().create_irqchip());
    EXPECT_ERRNO(vm().irqchip(IrqchipId(3)), EINVAL);
    Irqchip chip = {};
    chip.chip_id = IrqchipId(3);
    EXPECT_ERRNO(vm().set_irqchip(chip), EINVAL);
}

TEST_F(VmIrqchip, SplitLeavesThePicsAndTheIoApicToTheVmm) {
    REQUIRE_CAP(kvm(), cap::split_irqchip);
    ASSERT_OK(vm().enable(cap::split_irqchip, 24u));
    EXPECT_ERRNO(vm().irqchip(IrqchipId::pic_master), ENXIO);
    EXPECT_ERRNO(vm().irqchip(IrqchipId::ioapic), ENXIO);
    EXPECT_ERRNO(vm().create_irqchip(), EEXIST);
    EXPECT_ERRNO(vm().enable(cap::split_irqchip, 24u), EEXIST);
    const Vcpu vcpu = must(vm().create_vcpu(VcpuId(0)));
    EXPECT_OK(vcpu.lapic()) << "the local APICs are the kernel's";
}

TEST_F(VmIrqchip, ThePitIsMadeOnceAndKeepsItsState) {
    REQUIRE_CAP(kvm(), cap::pit2);
    EXPECT_ERRNO(vm().pit2(), ENXIO);
    must(vm().create_irqchip());
    EXPECT_ERRNO(vm().pit2(), ENXIO);
    EXPECT_ERRNO(vm().set_pit2(PitState2{}), ENXIO);
    EXPECT_ERRNO(vm().reinject_control(Switch::on), ENXIO);
    ASSERT_OK(vm().create_pit2(PitFlag::speaker_dummy));
    EXPECT_ERRNO(vm().create_pit2(), EEXIST);
    PitState2 state = must(vm().pit2());
    state.channels[2].mode = 3;
    state.channels[2].count = 1234;
    state.channels[2].gate = 1;
    ASSERT_OK(vm().set_pit2(state));
    const PitState2 read = must(vm().pit2());
    EXPECT_EQ(read.channels[2].mode, 3);
    EXPECT_EQ(read.channels[2].count, 1234u);
    EXPECT_OK(vm().reinject_control(Switch::off));
    EXPECT_OK(vm().reinject_control(Switch::on));
}

TEST_F(VmIrqchip, IntelsPagesArePlacedBeforeTheVcpus) {
    REQUIRE_CAP(kvm(), cap::set_tss_addr);
    REQUIRE_CAP(kvm(), cap::set_identity_map_addr);
    EXPECT_OK(vm().set_identity_map_addr(0xfffbc000_gpa));
    EXPECT_OK(vm().set_tss_addr(0xfffbd000_gpa));
    EXPECT_ERRNO(vm().set_tss_addr(0xfffff000_gpa), EINVAL) << "three pages end beyond 4 GiB";
    const Vcpu vcpu = must(vm().create_vcpu(VcpuId(0)));
    EXPECT_ERRNO(vm().set_identity_map_addr(0xfffbc000_gpa), EINVAL);
}

TEST_F(VmIrqchip, TheBootProcessorIsChosenBeforeTheVcpus) {
    REQUIRE_CAP(kvm(), cap::set_boot_cpu_id);
    must(vm().create_irqchip());
    ASSERT_OK(vm().set_boot_cpu_id(VcpuId(1)));
    const Vcpu zero = must(vm().create_vcpu(VcpuId(0))), one = must(vm().create_vcpu(VcpuId(1)));
    EXPECT_EQ(must(zero.mp_state()).mp_state, MpStateValue::uninitialized);
    EXPECT_EQ(must(one.mp_state()).mp_state, MpStateValue::runnable);
    EXPECT_ERRNO(vm().set_boot_cpu_id(VcpuId(0)), EBUSY);
}

}  // namespace
}  // namespace kvm::test
