// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <fcntl.h>
#include <kvm/system.hpp>

namespace kvm {

Result<Kvm> Kvm::open(const char* path) {
    auto fd = detail::open(path, O_RDWR);
    if (!fd) {
        return fail("open /dev/kvm", fd.error().code);
    }
    return adopt(static_cast<Fd&&>(*fd));
}

Result<Kvm> Kvm::adopt(Fd fd) {
    Kvm kvm(static_cast<Fd&&>(fd));
    const auto version = kvm.api_version();
    if (!version) {
        return std::unexpected(version.error());
    }
    if (*version != api_version_expected) {
        return fail(op::get_api_version.name, EPROTO, static_cast<u32>(*version));
    }
    return kvm;
}

Result<Vm> Kvm::adopt_vm(Fd fd) const {
    // Every VM answers it: yes, or that it has no such device.
    CreateDevice vfio{DeviceType::vfio, 0, static_cast<u32>(CreateDeviceFlag::test)};
    const long answer = detail::raw_ioctl(fd, op::create_device.request, &vfio);
    if (answer < 0 && answer != -ENODEV) {
        return fail(op::create_device.name, static_cast<int>(-answer));
    }
    return vm_of(static_cast<Fd&&>(fd));
}

Result<bool> detail::has_device_attr(FdRef fd, u32 group, u64 attr, const char* name) {
    const DeviceAttr argument{0, group, attr, 0};
    const long answer = raw_ioctl(fd, op::has_device_attr.request, &argument);
    if (answer < 0 && answer != -ENXIO) {
        return fail(name, static_cast<int>(-answer));
    }
    return answer == 0;
}

}  // namespace kvm
