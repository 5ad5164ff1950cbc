// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/host/examine.hpp>

/// The checks that examine() is made of: each looks at one thing.
namespace vmm::host {

Finding check_device(const Report& report);
Finding check_permission(const Report& report);
Finding check_module(const Report& report);
Finding check_api(const Report& report);

/// How to get a KVM module loaded on this host, in words.
std::string load_module(const Report& report);

}  // namespace vmm::host
