// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <fcntl.h>
#include <support/require.hpp>

namespace kvm::test {
namespace {

class System : public WithKvm {};

Fd open_file(const char* path) { return must(detail::open(path, O_RDWR)); }

TEST(SystemWithoutKvm, NoSuchDeviceIsSaidAndExplained) {
    const auto kvm = Kvm::open("/dev/no-such-kvm");
    ASSERT_ERRNO(kvm, ENOENT);
    EXPECT_NE(std::string(explain(kvm.error())), "");
}

TEST(SystemWithoutKvm, AFileThatIsNoKvmIsRefused) {
    EXPECT_ERRNO(Kvm::open("/dev/null"), ENOTTY);
    EXPECT_ERRNO(Kvm::adopt(open_file("/dev/null")), ENOTTY);
}

TEST(SystemWithoutKvm, ARefusedDescriptorIsClosed) {
    Fd fd = open_file("/dev/null");
    const int number = fd.number();
    EXPECT_ERRNO(Kvm::adopt(std::move(fd)), ENOTTY);
    EXPECT_EQ(fcntl(number, F_GETFD), -1);
}

TEST(SystemWithoutKvm, ACapabilityOfAFileThatIsNoKvmIsAnErrorNotANumber) {
    const Vm vm(open_file("/dev/null"), 4096);
    EXPECT_ERRNO(vm.check(cap::nr_memslots), ENOTTY);
    EXPECT_ERRNO(vm.create_vcpu(VcpuId(0)), ENOTTY);
}

TEST_F(System, HasTheOneApiVersionThereEverWas) { EXPECT_EQ(must(kvm().api_version()), 12); }

TEST_F(System, AdoptsADescriptorOfTheDevice) {
    EXPECT_OK(Kvm::adopt(must(kvm().fd().duplicate())));
}

TEST_F(System, AVcpusMappingHoldsItsPage) {
    EXPECT_GE(must(kvm().vcpu_mmap_size()), sizeof(kvm::Run));
    EXPECT_EQ(must(kvm().create_vm()).vcpu_mmap_size(), must(kvm().vcpu_mmap_size()));
}

TEST_F(System, EveryCapabilityHasAnAnswer) {
    const Vm vm = must(kvm().create_vm());
    for (const cap::Any& any : cap::all) {
        auto value = kvm().check_extension(any.number);
        if (!value && value.error().code == EINVAL) {  // arm64's MSI_DEVID is a VM's
            value = vm.check_extension(any.number);
        }
        ASSERT_OK(value) << any.name;
        EXPECT_GE(*value, 0) << any.name;
    }
}

TEST_F(System, AnUnknownCapabilityIsMissing) { EXPECT_EQ(must(kvm().check_extension(696969)), 0); }

TEST_F(System, KnownCapabilitiesHaveTheirTypes) {
    EXPECT_TRUE(must(kvm().check(cap::user_memory)));
    EXPECT_GE(must(kvm().check(cap::nr_memslots)), 32);
}

TEST_F(System, AnUnknownTypeOfVmIsRefused) { EXPECT_ERRNO(kvm().create_vm(VmType(0x40)), EINVAL); }

}  // namespace
}  // namespace kvm::test
