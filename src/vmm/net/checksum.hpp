// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <span>
#include <vmm/net/backend.hpp>

namespace vmm::net {

/// Computes the checksum that `header` asks for, in place, as a network card does. False if the
/// header lies: about where it is, or of a frame that cannot be so.
bool finish_checksum(const Header& header, std::span<std::byte> frame);

}  // namespace vmm::net
