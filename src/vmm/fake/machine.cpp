// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/machine/create.hpp>
#include <vmm/machine/fake_machine.hpp>
#include <vmm/machine/vcpu_loop.hpp>

namespace vmm {

template class BasicMachine<fake::Backend>;

}  // namespace vmm
