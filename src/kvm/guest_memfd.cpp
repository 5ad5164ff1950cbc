// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/guest_memfd.hpp>
#include <sys/mman.h>

namespace kvm {

Result<GuestMemfd::Mapping> GuestMemfd::map(u64 offset, u64 length) const {
    if (length == 0 || offset > size_ || length > size_ - offset) {
        return fail("mmap(guest_memfd)", EINVAL);
    }
    const long address = detail::sys(arch::nr_mmap, nullptr, length, PROT_READ | PROT_WRITE,
                                     MAP_SHARED, fd_.number(), offset);
    if (address < 0) {
        return fail("mmap(guest_memfd)", static_cast<int>(-address));
    }
    return Mapping({reinterpret_cast<std::byte*>(address), length});
}

GuestMemfd::Mapping::~Mapping() {
    if (!bytes_.empty()) {
        (void)detail::sys(arch::nr_munmap, bytes_.data(), bytes_.size());
    }
}

Result<void> GuestMemfd::Mapping::set_numa_policy(int mode,
                                                  std::span<const unsigned long> nodes) const {
    const long done = detail::sys(arch::nr_mbind, bytes_.data(), bytes_.size(), mode, nodes.data(),
                                  nodes.size() * sizeof(unsigned long) * 8 + 1, 0);
    if (done < 0) {
        return fail("mbind(guest_memfd)", static_cast<int>(-done));
    }
    return {};
}

}  // namespace kvm
