// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/abi/x86_64_table.hpp>
#include <kvm/x86_64/tdx.hpp>

namespace kvm::x86_64::tdx {

namespace {

constexpr std::size_t page_size = 4096;

Result<void> issue(FdRef fd, CmdId id, u32 flags, u64 data, const char* name) {
    Cmd cmd{id, flags, data, 0};
    const long answer = kvm::detail::raw_ioctl(fd, op::x86_64::memory_encrypt_op.request, &cmd);
    return answer < 0 ? fail(name, static_cast<int>(-answer), static_cast<u32>(cmd.hw_error))
                      : Result<void>();
}

u64 address_of(const void* data) { return reinterpret_cast<u64>(data); }

}  // namespace

Result<CapabilityList> capabilities(const VmOps& vm) {
    return kvm::detail::grow_until_filled<CapabilityList>(64, [&](Capabilities& list) {
        return issue(vm.fd(), CmdId::capabilities, 0, address_of(&list), "KVM_TDX_CAPABILITIES");
    });
}

Result<void> init_vm(const VmOps& vm, const InitVmList& options) {
    constexpr const char* name = "KVM_TDX_INIT_VM";
    if (options.wanted() > options.capacity()) {
        return fail(name, EMSGSIZE, static_cast<u32>(options.wanted()));
    }
    return issue(vm.fd(), CmdId::init_vm, 0, address_of(&options.header()), name);
}

Result<void> init_vcpu(VcpuOps& vcpu, u64 rcx) {
    return issue(vcpu.fd(), CmdId::init_vcpu, 0, rcx, "KVM_TDX_INIT_VCPU");
}

Result<void> init_mem_region(VcpuOps& vcpu, std::span<const std::byte> source, Gpa address,
                             Measure measure) {
    constexpr const char* name = "KVM_TDX_INIT_MEM_REGION";
    if (source.size() % page_size != 0) {
        return fail(name, EINVAL);
    }
    InitMemRegion region{address_of(source.data()), address.value(), source.size() / page_size};
    while (region.nr_pages != 0) {
        const u64 before = region.nr_pages;
        const auto done = issue(vcpu.fd(), CmdId::init_mem_region, static_cast<u32>(measure),
                                address_of(&region), name);
        const bool again = !done && (done.error().code == EAGAIN || done.error().code == EINTR);
        if (!done && !again) {
            return done;
        }
        if (done && region.nr_pages >= before) {
            return fail(name, EIO);  // a kernel that takes nothing would have us here for ever
        }
    }
    return {};
}

Result<void> finalize_vm(const VmOps& vm) {
    return issue(vm.fd(), CmdId::finalize_vm, 0, 0, "KVM_TDX_FINALIZE_VM");
}

Result<CpuidList> cpuid(const VcpuOps& vcpu) {
    return kvm::detail::grow_until_filled<CpuidList>(64, [&](Cpuid2& list) {
        return issue(vcpu.fd(), CmdId::get_cpuid, 0, address_of(&list), "KVM_TDX_GET_CPUID");
    });
}

}  // namespace kvm::x86_64::tdx
