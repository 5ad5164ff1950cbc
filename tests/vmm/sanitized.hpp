// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

namespace vmm::test {

/// Whether a sanitizer has memory of its own in this process, and keeps what is freed.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
inline constexpr bool sanitized =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool sanitized = false;
#endif

}  // namespace vmm::test
