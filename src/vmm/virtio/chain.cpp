// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/virtio/chain.hpp>

namespace vmm::virtio {

std::uint64_t Chain::readable_bytes() const { return total(readable); }
std::uint64_t Chain::writable_bytes() const { return total(writable); }

}  // namespace vmm::virtio
