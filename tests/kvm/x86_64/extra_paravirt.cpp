// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/x86_64/sev.hpp>
#include <kvm/x86_64/tdx.hpp>
#include <support/guest.hpp>

namespace kvm::test {
namespace {

class HyperV : public WithKvm {};
class XenGuests : public WithKvm {};
class EncryptedGuests : public WithKvm {};

TEST_F(HyperV, HasCpuidLeavesOfItsOwn) {
    REQUIRE_CAP(kvm(), cap::sys_hyperv_cpuid);
    const CpuidList leaves = must(kvm().supported_hv_cpuid());
    ASSERT_FALSE(leaves.empty());
    EXPECT_EQ(leaves[0].function, 0x40000000u);
}

TEST_F(HyperV, HasCpuidLeavesForAVcpu) {
    REQUIRE_CAP(kvm(), cap::hyperv_cpuid);
    Guest guest(kvm(), [](Vm& vm) { must(vm.create_irqchip()); });
    EXPECT_FALSE(must(guest.vcpu().supported_hv_cpuid()).empty());
}

TEST_F(HyperV, WiresEventsToEventfdsOnce) {
    REQUIRE_CAP(kvm(), cap::hyperv_eventfd);
    const Vm vm = must(kvm().create_vm());
    const EventFd event = must(EventFd::create());
    ASSERT_OK(vm.add_hyperv_eventfd(7, event));
    EXPECT_ERRNO(vm.add_hyperv_eventfd(7, event), EEXIST);
    EXPECT_OK(vm.remove_hyperv_eventfd(7));
    EXPECT_ERRNO(vm.remove_hyperv_eventfd(7), ENOENT);
}

TEST_F(XenGuests, TakeAConfigurationThatTheKernelKnows) {
    REQUIRE_CAP(kvm(), cap::xen_hvm, XenHvmFlag::hypercall_msr);
    const Vm vm = must(kvm().create_vm());
    XenHvmConfig config{};
    config.flags = ~u32(0);
    EXPECT_ERRNO(vm.xen_hvm_config(config), EINVAL);
    config.flags = Flags<XenHvmFlag>(XenHvmFlag::intercept_hcall).bits();
    config.msr = 0x40000000;
    EXPECT_OK(vm.xen_hvm_config(config));
}

TEST_F(XenGuests, KeepTheirAttributes) {
    REQUIRE_CAP(kvm(), cap::xen_hvm, XenHvmFlag::shared_info);
    Guest guest(kvm(), [](Vm& vm) { must(vm.create_irqchip()); });
    XenHvmAttr mode{};
    mode.type = XenAttrType::long_mode;
    mode.u.long_mode = 1;
    ASSERT_OK(guest.vm().set_xen_hvm_attr(mode));
    EXPECT_EQ(must(guest.vm().xen_hvm_attr(XenAttrType::long_mode)).u.long_mode, 1);
    XenVcpuAttr vector{};
    vector.type = XenVcpuAttrType::upcall_vector;
    vector.u.vector = 0xf3;
    ASSERT_OK(guest.vcpu().set_xen_vcpu_attr(vector));
    EXPECT_EQ(must(guest.vcpu().xen_vcpu_attr(XenVcpuAttrType::upcall_vector)).u.vector, 0xf3);
    EXPECT_FALSE(guest.vm().xen_hvm_evtchn_send({.port = ~0u, .vcpu = 0, .priority = 0}));
}

TEST_F(XenGuests, AreRefusedByAKernelWithoutXen) {
    Guest guest(kvm());
    if (must(kvm().check(cap::xen_hvm)).has(XenHvmFlag::shared_info)) {
        GTEST_SKIP() << "this KVM has KVM_CAP_XEN_HVM";
    }
    EXPECT_FALSE(guest.vm().xen_hvm_attr(XenAttrType::long_mode));
    EXPECT_FALSE(guest.vm().set_xen_hvm_attr({}));
    EXPECT_FALSE(guest.vcpu().xen_vcpu_attr(XenVcpuAttrType::upcall_vector));
    EXPECT_FALSE(guest.vcpu().set_xen_vcpu_attr({}));
    EXPECT_FALSE(guest.vm().xen_hvm_config({}));
    EXPECT_FALSE(guest.vm().xen_hvm_evtchn_send({}));
}

TEST_F(EncryptedGuests, AreOfATypeOfTheirOwn) {
    Guest guest(kvm());
    const EventFd no_firmware = must(EventFd::create());
    std::byte page[4096] = {};
    const auto started = x86_64::sev::launch_start(guest.vm(), no_firmware, 0);
    ASSERT_FALSE(started);
    EXPECT_STREQ(started.error().what, "KVM_SEV_LAUNCH_START");
    const auto capabilities = x86_64::tdx::capabilities(guest.vm());
    ASSERT_FALSE(capabilities);
    EXPECT_STREQ(capabilities.error().what, "KVM_TDX_CAPABILITIES");
    EXPECT_FALSE(guest.vm().register_encrypted_memory(page));
    EXPECT_FALSE(guest.vm().unregister_encrypted_memory(page));
}

TEST_F(EncryptedGuests, ChecksBuffersBeforeTheKernelSeesThem) {
    Guest guest(kvm());
    const EventFd no_firmware = must(EventFd::create());
    std::byte bytes[64] = {};
    EXPECT_ERRNO(x86_64::sev::dbg_decrypt(guest.vm(), no_firmware, bytes, std::span(bytes, 8)),
                 EMSGSIZE);
    const u8 host_data[32] = {};
    EXPECT_ERRNO(x86_64::sev::snp_launch_finish(guest.vm(), no_firmware, host_data, bytes, bytes),
                 EMSGSIZE);
    EXPECT_ERRNO(
        x86_64::tdx::init_mem_region(guest.vcpu(), bytes, Gpa(0), x86_64::tdx::Measure::no),
        EINVAL);
}

}  // namespace
}  // namespace kvm::test
