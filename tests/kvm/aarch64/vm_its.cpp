// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Messages through an ITS, which the VMM sets up as a guest's kernel would.

#include "gic_guest.hpp"

#include <cerrno>

namespace kvm::test {
namespace {

using namespace kvm::aarch64;

constexpr u64 its_base = 0x08080000, translater = its_base + 0x10040;
constexpr u32 device = 8, lpi = 8192 + 5, event = 3;

/// Registers of the ITS and of a redistributor.
constexpr u32 gits_ctlr = 0, gits_cbaser = 0x80, gits_cwriter = 0x88, gits_creadr = 0x90,
              gits_baser = 0x100;
constexpr u32 gicr_ctlr = 0, gicr_propbaser = 0x70, gicr_pendbaser = 0x78;

/// What a guest's kernel would keep where.
constexpr u64 devices = layout::data, collections = layout::data + 0x10000,
              commands = layout::data + 0x20000, translations = layout::data + 0x30000,
              properties = layout::data + 0x40000, pendings = layout::data + 0x50000;

class Its : public WithGicV3 {
protected:
    void SetUp() override {
        WithGicV3::SetUp();
        if (IsSkipped()) {
            return;
        }
        guest_.emplace(kvm());
        if (!must(vm().has_device(DeviceType::arm_vgic_its))) {
            GTEST_SKIP() << "needs KVM_DEV_TYPE_ARM_VGIC_ITS, which this KVM lacks";
        }
        guest().make();
        its_ = must(vm().create_device(DeviceType::arm_vgic_its));
        must(its().set_attr(vgic::its_addr, its_base));
        must(vgic::command(its(), vgic::ctrl_init));
        enable_lpis();
        enable_its();
        map();
        guest().start();
    }
    GicGuest& guest() { return *guest_; }
    Vm& vm() { return guest().vm(); }
    Device& its() { return *its_; }

    /// The table of priorities, in which 1 means enabled, and where the pending are kept.
    void enable_lpis() {
        guest().guest().write<u8>(properties + lpi - 8192, 0x80 | 1);
        set_redist(gicr_propbaser, properties | 15);  // 16 bits of interrupt numbers
        set_redist(gicr_pendbaser, pendings);
        must(guest().gic().set_attr(vgic::redist_reg(0, gicr_ctlr), 1));
    }
    void set_redist(u32 offset, u64 value) {
        must(guest().gic().set_attr(vgic::redist_reg(0, offset), static_cast<u32>(value)));
        must(
            guest().gic().set_attr(vgic::redist_reg(0, offset + 4), static_cast<u32>(value >> 32)));
    }
    void enable_its() {
        constexpr u64 valid = u64(1) << 63;
        const u64 tables[] = {devices, collections};
        for (u32 n = 0; n < 2; ++n) {
            const u64 before = must(its().attr(vgic::its_reg(gits_baser + n * 8)));
            const u64 type_and_size = before & (u64(0xff) << 56 | u64(0x1f) << 48) & ~valid;
            must(its().set_attr(vgic::its_reg(gits_baser + n * 8),
                                valid | type_and_size | tables[n] | 2 << 8));  // a page of 64 KiB
        }
        must(its().set_attr(vgic::its_reg(gits_cbaser), valid | commands));
        must(its().set_attr(vgic::its_reg(gits_ctlr), 1));
    }
    /// A command of the ITS: GICv3's specification, 5.3.
    void command(u64 a, u64 b, u64 c) {
        for (const u64 word : {a, b, c, u64(0)}) {
            guest().guest().write<u64>(commands + written_, word);
            written_ += 8;
        }
        must(its().set_attr(vgic::its_reg(gits_cwriter), written_));
        EXPECT_EQ(must(its().attr(vgic::its_reg(gits_creadr))), written_) << "it was read";
    }
    void map() {
        constexpr u64 valid = u64(1) << 63;
        command(u64(device) << 32 | 8, 4, valid | translations);      // MAPD: 5 bits of events
        command(9, 0, valid | 0 << 16 | 0);                           // MAPC: collection 0, vCPU 0
        command(u64(device) << 32 | 0xa, u64(lpi) << 32 | event, 0);  // MAPTI
    }
    static Msi message(u32 data = event) {
        Msi msi = {};
        msi.address_lo = static_cast<u32>(translater);
        msi.data = data;
        msi.flags = 1;
        msi.devid = device;
        return msi;
    }

private:
    std::optional<GicGuest> guest_;
    std::optional<Device> its_;
    u64 written_ = 0;
};

TEST_F(Its, AMessageIsAnInterruptOfTheGuest) {
    REQUIRE_CAP(kvm(), cap::signal_msi);
    REQUIRE_CAP(vm(), cap::msi_devid);
    EXPECT_TRUE(must(vm().signal_msi(message())));
    guest().expect_whole(lpi);
    EXPECT_TRUE(must(vm().signal_msi(message())));
    guest().expect_whole(lpi);
    guest().expect_none();
}

TEST_F(Its, AMessageThatIsNotMappedIsNoInterrupt) {
    REQUIRE_CAP(kvm(), cap::signal_msi);
    EXPECT_FALSE(must(vm().signal_msi(message(event + 1)))) << "no such event";
    Msi msi = message();
    msi.flags = 0;
    EXPECT_ERRNO(vm().signal_msi(msi), EINVAL) << "of no device";
    msi = message();
    msi.address_lo = layout::mmio;
    EXPECT_ERRNO(vm().signal_msi(msi), EINVAL) << "to no ITS";
    guest().expect_none();
}

TEST_F(Its, AGsiMayBeAMessage) {
    REQUIRE_CAP(kvm(), cap::irq_routing);
    REQUIRE_CAP(kvm(), cap::irqfd);
    IrqRoutingEntry entry = {};
    entry.gsi = 7;
    entry.type = IrqRoutingType::msi;
    entry.flags = 1;  // KVM_MSI_VALID_DEVID
    entry.u.msi.address_lo = static_cast<u32>(translater);
    entry.u.msi.data = event;
    entry.u.msi.devid = device;
    ASSERT_OK(vm().set_gsi_routing(must(GsiRouting::from(std::span(&entry, 1)))));
    const EventFd doorbell = must(EventFd::create());
    ASSERT_OK(vm().add_irqfd(doorbell, Gsi(7)));
    ASSERT_OK(doorbell.write());
    guest().expect_whole(lpi);
}

TEST_F(Its, ItsTablesAreSavedIntoTheGuestsMemoryAndRestored) {
    ASSERT_OK(vgic::command(its(), vgic::its_save_tables));
    EXPECT_NE(guest().guest().read<u64>(devices + device * 8), 0u);
    EXPECT_NE(guest().guest().read<u64>(collections), 0u);
    EXPECT_NE(guest().guest().read<u64>(translations + event * 8), 0u);
    EXPECT_ERRNO(vgic::command(its(), vgic::its_restore_tables), EEXIST) << "they are there";
}

TEST_F(Its, PendingMessagesAreSavedIntoTheGuestsMemory) {
    REQUIRE_CAP(kvm(), cap::signal_msi);
    EXPECT_TRUE(must(vm().signal_msi(message())));
    ASSERT_OK(vgic::command(guest().gic(), vgic::save_pending_tables));
    EXPECT_EQ(guest().guest().read<u8>(pendings + lpi / 8) >> lpi % 8 & 1, 1);
    guest().expect_whole(lpi);
}

}  // namespace
}  // namespace kvm::test
