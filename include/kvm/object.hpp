// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cerrno>
#include <kvm/abi/cap.hpp>
#include <kvm/abi/table.hpp>
#include <kvm/ioctl.hpp>
#include <type_traits>

namespace kvm {

/// An attribute of a device, vCPU, VM or the system: its address and the type of its value. The
/// kernel reads or writes exactly a T: name the attribute once, with the right type. Errors are
/// told by its name.
template <class T>
struct Attr {
    u32 group;
    u64 attr;
    const char* name = "KVM_DEVICE_ATTR";
};

namespace detail {

/// What Kvm, Vm, Vcpu and Device have in common: they own a descriptor and nothing else that
/// matters.
class Object {
public:
    /// The descriptor, for call() and for system calls that the library does not make.
    const Fd& fd() const { return fd_; }

protected:
    explicit Object(Fd fd) : fd_(static_cast<Fd&&>(fd)) {}
    Object(Object&&) = default;
    Object& operator=(Object&&) = default;
    ~Object() = default;

    Fd fd_;
};

/// What Kvm and Vm share: they tell which capabilities they have.
class CheckExtension : public Object {
public:
    using Object::Object;

    /// What the kernel says of a capability, in the capability's own type: false, 0 or no bits
    /// where it is missing. KVM_CHECK_EXTENSION. Errors: never a plausible number, EBADF and the
    /// like.
    template <class T>
    Result<T> check(Cap<T> cap) const {
        const long value = raw_ioctl(fd_, op::check_extension.request, cap.number);
        if (value < 0) [[unlikely]] {
            return Result<T>(std::unexpect, op::check_extension.name, static_cast<int>(-value));
        }
        if constexpr (__is_same(T, bool)) {
            return value != 0;
        } else {
            return T(static_cast<unsigned>(value));
        }
    }
    /// The same by number, for a capability that is newer than this library. KVM_CHECK_EXTENSION.
    Result<int> check_extension(int cap) const {
        return call(fd_, op::check_extension, static_cast<unsigned long>(cap));
    }
};

/// An ioctl that reads a list, whose header its owner may change: EMSGSIZE for a count beyond the
/// capacity, by which the kernel would read what is behind the list.
template <class Arg, class List>
[[gnu::always_inline]] inline Result<void> call_list(FdRef fd, Ioctl<Arg, Dir::in> op,
                                                     const List& list) {
    const long done =
        list.wanted() > list.capacity() ? -EMSGSIZE : raw_ioctl(fd, op.request, &list.header());
    return answer<void>(op.name, done);
}

/// A capability's argument as the kernel's word.
template <class T>
constexpr u64 cap_arg(T value) {
    if constexpr (requires { value.bits(); }) {
        return value.bits();
    } else if constexpr (std::is_pointer_v<T>) {
        return reinterpret_cast<u64>(value);
    } else {
        return static_cast<u64>(value);
    }
}

template <class... Args>
[[gnu::always_inline]] inline Result<void> enable_cap(const Fd& fd, int cap, Args... args) {
    static_assert(sizeof...(Args) <= 4);
    const EnableCap argument{static_cast<u32>(cap), 0, {cap_arg(args)...}, {}};
    return call(fd, op::enable_cap, argument);
}

template <class T>
Result<T> device_attr(FdRef fd, Attr<T> attr) {
    Result<T> value(std::in_place);
    const DeviceAttr argument{0, attr.group, attr.attr, reinterpret_cast<u64>(&*value)};
    check_filled(value, attr.name, raw_ioctl(fd, op::get_device_attr.request, &argument));
    return value;
}

template <class T>
Result<void> set_device_attr(FdRef fd, Attr<T> attr, const T& value) {
    const DeviceAttr argument{0, attr.group, attr.attr, reinterpret_cast<u64>(&value)};
    return answer<void>(attr.name, raw_ioctl(fd, op::set_device_attr.request, &argument));
}

/// ENXIO means that the attribute does not exist; every other error is one.
Result<bool> has_device_attr(FdRef fd, u32 group, u64 attr, const char* name);

template <class T>
Result<bool> has_device_attr(FdRef fd, Attr<T> attr) {
    return has_device_attr(fd, attr.group, attr.attr, attr.name);
}

}  // namespace detail

}  // namespace kvm
