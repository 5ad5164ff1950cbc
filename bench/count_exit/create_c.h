/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Creation in C, for create_raw.c and create_glibc.c, which say what the calls are. */
#include "loops.h"
#include <errno.h>
#include <linux/kvm.h>
#include <sys/mman.h>

static int with_vcpu(int kvm, int vcpu) {
    long size = IOCTL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < 0) {
        return ERROR(size);
    }
    void* run = MMAP(size, vcpu);
    if (MMAP_FAILED(run)) {
        return ERROR((long)run);
    }
    MUNMAP(run, size);
    return 0;
}

static int with_vm(int kvm, int vm, void* memory) {
    struct kvm_userspace_memory_region region = {
        .slot = 0,
        .guest_phys_addr = 0,
        .memory_size = guest_memory_bytes,
        .userspace_addr = (unsigned long)memory,
    };
    long result = IOCTL(vm, KVM_SET_USER_MEMORY_REGION, (long)&region);
    if (result < 0) {
        return ERROR(result);
    }
    long vcpu = IOCTL(vm, KVM_CREATE_VCPU, 0);
    if (vcpu < 0) {
        return ERROR(vcpu);
    }
    int error = with_vcpu(kvm, (int)vcpu);
    CLOSE((int)vcpu);
    return error;
}

int CREATE(int kvm) {
    void* memory = mmap(0, guest_memory_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return errno;
    }
    long vm = IOCTL(kvm, KVM_CREATE_VM, 0);
    int error = vm < 0 ? ERROR(vm) : with_vm(kvm, (int)vm, memory);
    if (vm >= 0) {
        CLOSE((int)vm);
    }
    munmap(memory, guest_memory_bytes);
    return error;
}
