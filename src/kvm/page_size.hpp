// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <unistd.h>

namespace kvm::detail {

/// The host's page size in bytes: the unit of a vCPU's mappings.
inline std::size_t page_size() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace kvm::detail
