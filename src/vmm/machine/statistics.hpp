// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/fd.hpp>
#include <span>
#include <vector>
#include <vmm/machine/report.hpp>

namespace vmm::detail {

/// The scalars behind descriptors of KVM_GET_STATS_FD, those of the same name summed up. What
/// cannot be read is left out.
std::vector<Statistic> sum_statistics(std::span<const kvm::Fd> fds);

}  // namespace vmm::detail
