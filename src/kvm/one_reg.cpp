// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/one_reg.hpp>

namespace kvm::detail {

Result<void> one_reg_bytes(FdRef fd, u64 id, std::span<std::byte> value) {
    if (value.size() != reg_size(id)) {
        return fail(op::get_one_reg.name, EMSGSIZE, static_cast<u32>(reg_size(id)));
    }
    return call(fd, op::get_one_reg, OneReg{id, reinterpret_cast<u64>(value.data())});
}

Result<void> set_one_reg_bytes(FdRef fd, u64 id, std::span<const std::byte> value) {
    if (value.size() != reg_size(id)) {
        return fail(op::set_one_reg.name, EMSGSIZE, static_cast<u32>(reg_size(id)));
    }
    return call(fd, op::set_one_reg, OneReg{id, reinterpret_cast<u64>(value.data())});
}

Result<RegIdList> reg_list(FdRef fd) {
    return grow_until_filled<RegIdList>(
        512, [&](RegList& list) { return call(fd, op::get_reg_list, list); });
}

}  // namespace kvm::detail
