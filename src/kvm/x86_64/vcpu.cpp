// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/x86_64/vcpu.hpp>

namespace kvm::x86_64 {

namespace {

/// KVM_GET_MSRS's and KVM_SET_MSRS's argument for one.
struct OneMsr {
    Msrs header;
    MsrEntry entry;
};

/// The errno of an answer that is not 1: 0 means that the MSR was refused.
constexpr int msr_error(long count) { return count < 0 ? static_cast<int>(-count) : EINVAL; }

/// How many bytes the kernel reads and writes for the XSAVE area of `vm`'s vCPUs now.
Result<std::size_t> xsave_size(const VmOps& vm) {
    const auto size = vm.check(cap::xsave2);
    if (!size) {
        return std::unexpected(size.error());
    }
    return *size > 4096 ? static_cast<std::size_t>(*size) : std::size_t(4096);
}

}  // namespace

Result<Xsave2> Xsave2::with_size(std::size_t bytes) {
    bytes = bytes < sizeof(Xsave) ? sizeof(Xsave) : (bytes + 3) / 4 * 4;
    auto* words = static_cast<u32*>(std::calloc(1, bytes));
    if (!words) {
        return fail("Xsave2", ENOMEM);
    }
    return Xsave2(words, bytes);
}

Xsave2& Xsave2::operator=(Xsave2&& other) noexcept {
    if (this != &other) {
        std::free(words_);
        words_ = other.words_;
        bytes_ = other.bytes_;
        other.words_ = nullptr;
        other.bytes_ = 0;
    }
    return *this;
}

Result<void> VcpuOps::set_xsave(const VmOps& vm, const Xsave& xsave) {
    const long size =
        kvm::detail::raw_ioctl(vm.fd(), op::check_extension.request, cap::xsave2.number);
    if (size < 0) {
        return kvm::detail::answer<void>(op::check_extension.name, size);
    }
    if (size > static_cast<long>(sizeof xsave)) {
        return Result<void>(std::unexpect, op::x86_64::set_xsave.name, EMSGSIZE,
                            static_cast<u32>(size));
    }
    return call(fd_, op::x86_64::set_xsave, xsave);
}

Result<Xsave2> VcpuOps::xsave2(const VmOps& vm) const {
    const auto size = xsave_size(vm);
    if (!size) {
        return std::unexpected(size.error());
    }
    auto area = Xsave2::with_size(*size);
    if (area) {
        auto& head = *reinterpret_cast<Xsave*>(area->words().data());
        if (auto done = call(fd_, op::x86_64::get_xsave2, head); !done) {
            return std::unexpected(done.error());
        }
    }
    return area;
}

Result<void> VcpuOps::set_xsave2(const VmOps& vm, const Xsave2& xsave) {
    const auto size = xsave_size(vm);
    if (!size) {
        return std::unexpected(size.error());
    }
    if (xsave.size_bytes() < *size) {
        return fail(op::x86_64::set_xsave.name, EMSGSIZE, static_cast<u32>(*size));
    }
    return call(fd_, op::x86_64::set_xsave, *reinterpret_cast<const Xsave*>(xsave.words().data()));
}

Result<u64> VcpuOps::msr(u32 index) const {
    OneMsr one{{1, 0}, {index, 0, 0}};
    const long count = kvm::detail::raw_ioctl(fd_, op::x86_64::get_msrs.request, &one);
    if (count != 1) {
        return Result<u64>(std::unexpect, op::x86_64::get_msrs.name, msr_error(count), index);
    }
    return one.entry.data;
}

Result<void> VcpuOps::set_msr(u32 index, u64 value) {
    const OneMsr one{{1, 0}, {index, 0, value}};
    const long count = kvm::detail::raw_ioctl(fd_, op::x86_64::set_msrs.request, &one);
    if (count != 1) {
        return Result<void>(std::unexpect, op::x86_64::set_msrs.name, msr_error(count), index);
    }
    return {};
}

Result<CpuidList> VcpuOps::cpuid2() const {
    auto list = kvm::detail::grow_until_filled<CpuidList>(
        128, [&](Cpuid2& leaves) { return call(fd_, op::x86_64::get_cpuid2, leaves); });
    if (!list || list->size() < list->capacity()) {
        return list;
    }
    // Linux 6.1 leaves the count as it was: the least that it takes is how many leaves there are.
    std::size_t least = 0;
    for (std::size_t most = list->capacity(); least < most;) {
        const std::size_t middle = (least + most) / 2;
        list->set_size(middle);
        const auto filled = call(fd_, op::x86_64::get_cpuid2, list->header());
        if (!filled && filled.error().code != E2BIG) {
            return std::unexpected(filled.error());
        }
        (filled ? most : least) = filled ? middle : middle + 1;
    }
    list->set_size(least);
    return list;
}

}  // namespace kvm::x86_64
