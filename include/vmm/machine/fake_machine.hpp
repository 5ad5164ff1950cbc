// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/fake.hpp>
#include <vmm/machine/machine.hpp>

namespace vmm {

extern template class BasicMachine<fake::Backend>;

/// The machine on a scripted hypervisor. Without a kernel it loads none.
using FakeMachine = BasicMachine<fake::Backend>;

}  // namespace vmm
