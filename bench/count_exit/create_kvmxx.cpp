// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "loops.h"
#include <cerrno>
#include <kvm/kvm.hpp>
#include <sys/mman.h>

namespace {

int create(const kvm::Kvm& kvm, std::span<std::byte> memory) {
    const auto vm = kvm.create_vm();
    if (!vm) {
        return vm.error().code;
    }
    if (const auto slot = vm->add_memory(kvm::Slot{0}, kvm::Gpa(0), memory); !slot) {
        return slot.error().code;
    }
    const auto vcpu = vm->create_vcpu(kvm::VcpuId{0});
    return vcpu ? 0 : vcpu.error().code;
}

}  // namespace

int create_kvmxx(const kvm::Kvm& kvm) {
    void* memory = mmap(nullptr, guest_memory_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return errno;
    }
    const int error = create(kvm, {static_cast<std::byte*>(memory), guest_memory_bytes});
    munmap(memory, guest_memory_bytes);
    return error;
}
