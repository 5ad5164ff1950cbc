// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <vmm/net/user.hpp>

/// In user.cpp's place, where the toolkit is built without libslirp.
namespace vmm::net {

Result<std::unique_ptr<Backend>> create_user_network(const UserOptions& /*options*/,
                                                     Wires /*wires*/) {
    return fail("a user network needs libslirp, without which this was built", ENOSYS);
}

}  // namespace vmm::net
