// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#define KVMXX_VERSION_MAJOR 0
#define KVMXX_VERSION_MINOR 1
#define KVMXX_VERSION_PATCH 0

namespace kvm {

/// This library's version, and the Linux whose interface its facts describe.
inline constexpr const char* version = "0.1.0";
inline constexpr const char* linux_facts = "7.2";

}  // namespace kvm
