// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/object.hpp>

namespace kvm {

/// A device in the kernel, made by Vm::create_device(): an interrupt controller, VFIO's link to
/// KVM.
class Device final : public detail::Object {
public:
    /// Takes over a descriptor that KVM_CREATE_DEVICE gave, for instance in another process.
    explicit Device(Fd fd) : Object(static_cast<Fd&&>(fd)) {}

    /// Whether the device has the attribute. KVM_HAS_DEVICE_ATTR. Needs cap::device_ctrl.
    template <class T>
    Result<bool> has_attr(Attr<T> attr) const {
        return detail::has_device_attr(fd_, attr);
    }
    /// The attribute's value. KVM_GET_DEVICE_ATTR. Errors: ENXIO (no such attribute).
    template <class T>
    Result<T> attr(Attr<T> attr) const {
        return detail::device_attr(fd_, attr);
    }
    /// Changes the attribute. KVM_SET_DEVICE_ATTR. Errors: ENXIO (no such attribute), EBUSY.
    template <class T>
    Result<void> set_attr(Attr<T> attr, const std::type_identity_t<T>& value) const {
        return detail::set_device_attr(fd_, attr, value);
    }
};

/// Attributes of DeviceType::vfio: KVM_DEV_VFIO_FILE_ADD and _DEL, the value a VFIO descriptor.
namespace vfio {
inline constexpr Attr<s32> file_add{1, 1, "KVM_DEV_VFIO_FILE_ADD"};
inline constexpr Attr<s32> file_del{1, 2, "KVM_DEV_VFIO_FILE_DEL"};
}  // namespace vfio

}  // namespace kvm
