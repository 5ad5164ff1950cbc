// SPDX-License-Identifier: Apache-2.0 OR MIT
// call() takes the argument that the ioctl takes, and in its direction.
// expect: {mismatch}
// expect: {mismatch}
// expect: {mismatch}
// expect: {mismatch}
#include <kvm/kvm.hpp>

void use(kvm::FdRef fd, const kvm::Regs& regs, kvm::Sregs& sregs, const kvm::CreateDevice& fixed) {
    kvm::CreateDevice device = fixed;
#if MISUSE == 1
    (void)kvm::call(fd, kvm::op::x86_64::set_regs, sregs);
#elif MISUSE == 2
    (void)kvm::call(fd, kvm::op::x86_64::set_regs);
#elif MISUSE == 3
    (void)kvm::call(fd, kvm::op::create_device, fixed);
#elif MISUSE == 4
    (void)kvm::call(fd, kvm::op::x86_64::get_sregs, sregs);
#else
    (void)kvm::call(fd, kvm::op::create_device, device);
    sregs = kvm::call(fd, kvm::op::x86_64::get_sregs).value();
#endif
    (void)kvm::call(fd, kvm::op::x86_64::set_regs, regs);
    (void)device;
}
