// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/x86_64/vcpu.hpp>

namespace kvm::x86_64 {

Result<PitState> VmOps::pit() const {
    Result<PitState> state(std::in_place);
    kvm::detail::call_into(fd_, op::x86_64::get_pit, state);
    return state;
}

Result<void> VmOps::set_msr_filter(MsrFilterDefault otherwise,
                                   std::span<const MsrRange> ranges) const {
    MsrFilter filter{otherwise, 0, {}};
    if (ranges.size() > msr_filter_max_ranges) {
        return fail(op::x86_64::set_msr_filter.name, E2BIG, static_cast<u32>(ranges.size()));
    }
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        const MsrRange& range = ranges[i];
        // The kernel reads whole words of the bitmap.
        const u64 bytes = (u64(range.nmsrs) + 63) / 64 * 8;
        if (range.bitmap.size() < bytes) {
            return fail(op::x86_64::set_msr_filter.name, EMSGSIZE, static_cast<u32>(i));
        }
        filter.ranges[i] = {range.flags.bits(), range.nmsrs, range.base, 0, range.bitmap.data()};
    }
    return call(fd_, op::x86_64::set_msr_filter, filter);
}

Result<XenHvmAttr> VmOps::xen_hvm_attr(XenAttrType type) const {
    Result<XenHvmAttr> attr(std::in_place);
    attr->type = type;
    kvm::detail::call_into(fd_, op::x86_64::xen_hvm_get_attr, attr);
    return attr;
}

Result<XenVcpuAttr> VcpuOps::xen_vcpu_attr(XenVcpuAttrType type) const {
    Result<XenVcpuAttr> attr(std::in_place);
    attr->type = type;
    kvm::detail::call_into(fd_, op::x86_64::xen_vcpu_get_attr, attr);
    return attr;
}

Result<NestedStateBlob> NestedStateBlob::with_size(std::size_t bytes) {
    if (bytes < sizeof(NestedState) || bytes > (std::size_t(1) << 24)) {
        return fail("NestedStateBlob", EINVAL);
    }
    auto* state = static_cast<NestedState*>(std::calloc(1, bytes));
    if (!state) {
        return fail("NestedStateBlob", ENOMEM);
    }
    state->size = static_cast<u32>(bytes);
    return NestedStateBlob(state, bytes);
}

NestedStateBlob& NestedStateBlob::operator=(NestedStateBlob&& other) noexcept {
    if (this != &other) {
        std::free(state_);
        state_ = other.state_;
        capacity_ = other.capacity_;
        other.state_ = nullptr;
        other.capacity_ = 0;
    }
    return *this;
}

Result<NestedStateBlob> VcpuOps::nested_state() const {
    std::size_t bytes = sizeof(NestedState) + sizeof(VmxNestedStateData);
    for (int tries = 0;; ++tries) {
        auto blob = NestedStateBlob::with_size(bytes);
        if (!blob) {
            return blob;
        }
        const auto done = call(fd_, op::x86_64::get_nested_state, blob->header());
        if (done) {
            return blob;
        }
        const std::size_t needed = blob->header().size;  // the kernel says so with E2BIG
        if (done.error().code != E2BIG || needed <= bytes || tries == 3) {
            return std::unexpected(done.error());
        }
        bytes = needed;
    }
}

}  // namespace kvm::x86_64
