/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#pragma once

/* One job, done with the library and twice as C programmers write it: run the vCPU for `exits`
   writes to the console's port and add up the bytes. The sum, or -1 when KVM_RUN fails or the guest
   does anything else. And another: make a VM with memory and a vCPU, and destroy them again; 0 or
   an errno. */

enum { console_port = 0x3f8, guest_memory_bytes = 0x10000 };

#ifdef __cplusplus
extern "C" {
#endif

/* A vCPU of a VMM in C. */
struct c_vcpu {
    int fd;
    void* run; /* struct kvm_run */
};

long loop_raw(const struct c_vcpu* vcpu, long exits);   /* an inline system call */
long loop_glibc(const struct c_vcpu* vcpu, long exits); /* glibc's ioctl() */
int create_raw(int kvm);
int create_glibc(int kvm);

#ifdef __cplusplus
}

namespace kvm {
class Kvm;
class Vcpu;
}  // namespace kvm

long loop_kvmxx(kvm::Vcpu& vcpu, long exits);
int create_kvmxx(const kvm::Kvm& kvm);
#endif
