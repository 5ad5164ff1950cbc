// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

/// The whole kernel interface. `kvm::Kvm::open()` is where it starts.

#include <kvm/coalesced.hpp>
#include <kvm/device.hpp>
#include <kvm/dirty_ring.hpp>
#include <kvm/error.hpp>
#include <kvm/exit.hpp>
#include <kvm/fd.hpp>
#include <kvm/flex_array.hpp>
#include <kvm/guest_memfd.hpp>
#include <kvm/ioctl.hpp>
#include <kvm/kick.hpp>
#include <kvm/memslot.hpp>
#include <kvm/one_reg.hpp>
#include <kvm/stats.hpp>
#include <kvm/system.hpp>
#include <kvm/types.hpp>
#include <kvm/vcpu.hpp>
#include <kvm/version.hpp>
#include <kvm/vm.hpp>
