// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/memory.hpp>
#include <kvm/flex_array.hpp>
#include <kvm/object.hpp>
#include <type_traits>

namespace kvm {

/// How many bytes the register `id` has: KVM_REG_SIZE.
constexpr std::size_t reg_size(u64 id) { return std::size_t(1) << (id >> 52 & 15); }

/// A register's id in the ONE_REG interface: KVM_REG_* bits say architecture, size and which one.
/// `RegId<u64> id{...}` does not compile with an id of another size, where the id is a constant.
template <class T>
class RegId {
public:
    /// An id that is a constant; does not compile if its size is not T's.
    consteval explicit RegId(u64 id) : id_(id) {
        if (reg_size(id) != sizeof(T)) {
            wrong_size();
        }
    }
    /// An id that is computed at run time, if its size is T's. Errors: EMSGSIZE.
    static Result<RegId> make(u64 id) {
        if (reg_size(id) != sizeof(T)) {
            return fail("RegId", EMSGSIZE, static_cast<u32>(id));
        }
        return RegId(id, 0);
    }

    /// The id as the kernel's number.
    constexpr u64 value() const { return id_; }

private:
    constexpr RegId(u64 id, int) : id_(id) {}
    static void wrong_size();  // never defined: the id's size bits are not sizeof(T)

    u64 id_;
};

/// KVM_REG_X86, KVM_REG_ARM64, KVM_REG_RISCV: what an id of the architecture begins with, within
/// KVM_REG_ARCH_MASK.
inline constexpr u64 reg_arch_mask = u64(0xff) << 56;
inline constexpr u64 reg_x86 = u64(0x20) << 56;
inline constexpr u64 reg_arm64 = u64(0x60) << 56;
inline constexpr u64 reg_riscv = u64(0x80) << 56;

/// KVM_REG_SIZE_*, for composing ids.
inline constexpr u64 reg_size_u8 = 0;
inline constexpr u64 reg_size_u16 = u64(1) << 52;
inline constexpr u64 reg_size_u32 = u64(2) << 52;
inline constexpr u64 reg_size_u64 = u64(3) << 52;
inline constexpr u64 reg_size_u128 = u64(4) << 52;
inline constexpr u64 reg_size_u256 = u64(5) << 52;
inline constexpr u64 reg_size_u512 = u64(6) << 52;
inline constexpr u64 reg_size_u1024 = u64(7) << 52;
inline constexpr u64 reg_size_u2048 = u64(8) << 52;

/// KVM_GET_REG_LIST's answer: ids.
using RegIdList = FlexArray<RegList, u64, &RegList::n>;

namespace detail {

template <class T>
Result<T> one_reg(FdRef fd, RegId<T> id) {
    static_assert(std::is_trivially_copyable_v<T>);
    Result<T> value(std::in_place);
    const OneReg argument{id.value(), reinterpret_cast<u64>(&*value)};
    check_filled(value, op::get_one_reg.name, raw_ioctl(fd, op::get_one_reg.request, &argument));
    return value;
}

template <class T>
Result<void> set_one_reg(FdRef fd, RegId<T> id, const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    return call(fd, op::set_one_reg, OneReg{id.value(), reinterpret_cast<u64>(&value)});
}

Result<void> one_reg_bytes(FdRef fd, u64 id, std::span<std::byte> value);
Result<void> set_one_reg_bytes(FdRef fd, u64 id, std::span<const std::byte> value);
Result<RegIdList> reg_list(FdRef fd);

}  // namespace detail

}  // namespace kvm
