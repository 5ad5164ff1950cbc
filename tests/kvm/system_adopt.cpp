// SPDX-License-Identifier: Apache-2.0 OR MIT
// Descriptors that come from elsewhere: taken over where they are what they are said to be.
#include <cerrno>
#include <fcntl.h>
#include <optional>
#include <support/require.hpp>

namespace kvm::test {
namespace {

class Adopted : public WithKvm {
protected:
    std::size_t size() { return must(kvm().vcpu_mmap_size()); }
};

/// Neither a VM's nor a vCPU's error says more: each object has its own for a call that it lacks.
template <class T>
bool is_another_kind(const Result<T>& result) {
    return !result && (result.error().code == ENOTTY || result.error().code == EINVAL);
}

TEST_F(Adopted, AVcpuOutlivesTheOneThatItsDescriptorCameFrom) {
    const Vm vm = must(kvm().create_vm());
    std::optional<Vcpu> first = must(vm.create_vcpu(VcpuId(0)));
    Fd fd = must(first->fd().duplicate());
    first.reset();
    const Vcpu vcpu = must(Vcpu::adopt(std::move(fd), size()));
    EXPECT_OK(vcpu.mp_state());
    EXPECT_EQ(vcpu.raw().exit_reason, 0u);
}

TEST_F(Adopted, AVmMakesVcpusAsBefore) {
    const Vm first = must(kvm().create_vm());
    const Vm second = must(kvm().adopt_vm(must(first.fd().duplicate())));
    const Vcpu vcpu = must(second.create_vcpu(VcpuId(1)));
    EXPECT_ERRNO(first.create_vcpu(VcpuId(1)), EEXIST) << "it is the same VM";
}

TEST_F(Adopted, AnotherKindIsRefusedAndClosed) {
    const Vm vm = must(kvm().create_vm());
    const Vcpu vcpu = must(vm.create_vcpu(VcpuId(0)));
    for (const Fd* fd : {&vm.fd(), &kvm().fd()}) {
        Fd other = must(fd->duplicate());
        const int number = other.number();
        EXPECT_TRUE(is_another_kind(Vcpu::adopt(std::move(other), size())));
        EXPECT_EQ(::fcntl(number, F_GETFD), -1);
    }
    for (const Fd* fd : {&vcpu.fd(), &kvm().fd()}) {
        Fd other = must(fd->duplicate());
        const int number = other.number();
        EXPECT_TRUE(is_another_kind(kvm().adopt_vm(std::move(other))));
        EXPECT_EQ(::fcntl(number, F_GETFD), -1);
    }
}

}  // namespace
}  // namespace kvm::test
