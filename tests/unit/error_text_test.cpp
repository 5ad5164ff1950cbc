// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "kernels_ioctls.hpp"
#include "print.hpp"

#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <kvm/abi/table.hpp>
#include <kvm/abi/x86_64_table.hpp>
#include <kvm/error.hpp>
#include <kvm/system.hpp>
#include <string>

/// What explain() says: right, helpful, and in one manner.
namespace kvm::test {
namespace {

std::string explained(const char* what, int code) { return explain({what, code, 0}); }

bool says(const std::string& text, const char* word) {
    return text.find(word) != std::string::npos;
}

TEST(ErrorText, OfOpeningNamesTheCauseAndTheCure) {
    EXPECT_PRED2(says, explained("open /dev/kvm", ENOENT), "modprobe kvm_intel or kvm_amd");
    EXPECT_PRED2(says, explained("open /dev/kvm", ENOENT), "--device /dev/kvm");
    EXPECT_PRED2(says, explained("open /dev/kvm", ENOENT), "firmware");
    EXPECT_PRED2(says, explained("open /dev/kvm", EACCES), "log in again");
    EXPECT_PRED2(says, explained("open /dev/kvm", EPERM), "DeviceAllow=/dev/kvm rw");
    EXPECT_PRED2(says, explained("open /dev/kvm", ENODEV), "no KVM module answers");
    EXPECT_PRED2(says, explained("open /dev/kvm", EMFILE), "ulimit -n");
}

TEST(ErrorText, OfOpeningIsWhatOpeningReallyGives) {
    REQUIRE_KERNELS_IOCTLS();
    const auto missing = Kvm::open("/nonexistent");
    ASSERT_FALSE(missing);
    EXPECT_PRED2(says, explain(missing.error()), "modprobe");
    const auto directory = Kvm::open("/");
    ASSERT_FALSE(directory);
    EXPECT_PRED2(says, explain(directory.error()), "directory");
    const auto null = Kvm::open("/dev/null");
    ASSERT_FALSE(null);
    EXPECT_STREQ(explain(null.error()), "the file is not KVM's device");
}

TEST(ErrorText, NamesWhatMustComeBeforeWhat) {
    EXPECT_PRED2(says, explained("KVM_CREATE_IRQCHIP", EINVAL), "before the vCPUs");
    EXPECT_PRED2(says, explained("KVM_SET_IDENTITY_MAP_ADDR", EINVAL), "before the vCPUs");
    EXPECT_PRED2(says, explained("KVM_SET_BOOT_CPU_ID", EBUSY), "before the vCPUs");
    EXPECT_PRED2(says, explained("KVM_CREATE_PIT2", ENOENT), "create_irqchip()");
    EXPECT_PRED2(says, explained("KVM_SIGNAL_MSI", EINVAL), "create_irqchip()");
    EXPECT_PRED2(says, explained("KVM_GET_LAPIC", EINVAL), "create_irqchip()");
    EXPECT_PRED2(says, explained("KVM_SET_CPUID2", EINVAL), "the vCPU has run");
}

TEST(ErrorText, OfMemoryTellsOverlapFromMisuse) {
    for (const char* what : {op::set_user_memory_region.name, op::set_user_memory_region2.name}) {
        EXPECT_PRED2(says, explained(what, EEXIST), "overlap");
        EXPECT_PRED2(says, explained(what, EINVAL), "page-aligned");
        EXPECT_PRED2(says, explained(what, EBADF), "another VM");
    }
}

TEST(ErrorText, OfEioSuspectsForkAndOnlyOfKvmsOwnCalls) {
    EXPECT_PRED2(says, explained(op::create_vcpu.name, EIO), "fork");
    EXPECT_PRED2(says, explained(op::run.name, EIO), "dmesg");
    EXPECT_EQ(explained("eventfd read", EIO), "");
}

TEST(ErrorText, OfAMissingCallSaysSo) {
    EXPECT_PRED2(says, explained(op::x86_64::smi.name, ENOTTY), "does not know the call");
    EXPECT_PRED2(says, explained(op::x86_64::memory_encrypt_op.name, ENOTTY), "SEV");
    EXPECT_PRED2(says, explained("eventfd", ENOSYS), "does not have the call");
    EXPECT_EQ(explained("open", ENOTTY), "");
}

TEST(ErrorText, IsNothingWhereTheErrnoSaysItAll) {
    EXPECT_EQ(explained(op::run.name, ENOMEM), "");
    EXPECT_EQ(explained("", 0), "");
    EXPECT_EQ(explained("no operation of ours", EINVAL), "");
    EXPECT_EQ(explained(op::run.name, -1), "");
}

/// Every operation that has texts, with every errno: what holds for all of them.
TEST(ErrorText, IsOneLineThatCanFollowAColon) {
    int texts = 0;
    for (const char* what :
         {"open /dev/kvm", op::create_vm.name, op::create_vcpu.name, op::run.name, op::irqfd.name,
          op::ioeventfd.name, op::set_gsi_routing.name, op::enable_cap.name, op::get_dirty_log.name,
          op::clear_dirty_log.name, op::set_user_memory_region.name, op::create_device.name,
          op::x86_64::set_cpuid2.name, op::x86_64::set_sregs.name, op::x86_64::set_msrs.name,
          op::x86_64::set_xsave.name, op::x86_64::interrupt.name, op::set_mp_state.name}) {
        for (int code = 1; code < 134; ++code) {
            const std::string text = explained(what, code);
            if (text.empty()) {
                continue;
            }
            ++texts;
            EXPECT_EQ(text.find('\n'), std::string::npos) << text;
            EXPECT_FALSE(text.ends_with('.') || text.ends_with(' ')) << text;
            EXPECT_FALSE(says(text, "  ")) << text;
            EXPECT_LE(text.size(), 260u) << text;
            char buffer[512];
            EXPECT_PRED2(says, describe({what, code, 0}, buffer, sizeof buffer), text.c_str());
        }
    }
    EXPECT_GE(texts, 60);
}

}  // namespace
}  // namespace kvm::test
