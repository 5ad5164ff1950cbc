// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What is newer than this library: by number, with the same errors. Here, numbers that no kernel
// has.

#include "tour.hpp"

#include <cerrno>

struct NewArgument {  // as the newer kernel's header lays it out
    kvm::u64 address;
    kvm::u64 size;
};

alignas(4096) std::byte memory[0x1000];

int step(const kvm::Kvm& kvm) {
    const kvm::Vm vm = must(kvm.create_vm());

    // A capability: 0 where it is missing, as for those that have a name.
    const int answer = must(vm.check_extension(99999));
    // To enable one, with up to four arguments.
    const auto enabled = vm.enable_cap(99999, 1);
    // An ioctl: its number, its argument's type, its direction. iow: we write it, the kernel reads
    // it.
    constexpr auto new_ioctl = kvm::abi::iow<NewArgument>(0xfe, "KVM_NEW");
    const auto called = kvm::call(vm.fd(), new_ioctl, NewArgument{0, 4096});
    // A flag that has no name yet.
    const kvm::Flags<kvm::MemFlag> new_flag(1u << 30);
    const auto added = vm.add_memory(kvm::Slot(0), kvm::Gpa(0), memory, new_flag);

    char text[256];
    std::puts(kvm::describe(called.error(), text, sizeof text));
    return answer == 0 && enabled.error().code == EINVAL && called.error().code == ENOTTY &&
                   added.error().code == EINVAL
               ? 0
               : 1;
}

int main() { return tour::run(step); }
