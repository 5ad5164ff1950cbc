// SPDX-License-Identifier: Apache-2.0 OR MIT
// A device's attribute has one type of value.
// expect: {mismatch}
// matching|invalid)
#include <kvm/device.hpp>

kvm::Result<void> use(const kvm::Device& device) {
#if MISUSE == 1
    return device.set_attr(kvm::vfio::file_add, "a path");
#else
    return device.set_attr(kvm::vfio::file_add, 5);
#endif
}
