// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <mutex>
#include <slirp/libslirp.h>
#include <vmm/error.hpp>

namespace vmm::net {

/// libslirp's functions. It is loaded when the first user network is made: linked, it and GLib
/// would cost each start of each program, and be needed by those who want no such network.
struct SlirpLibrary {
    decltype(&::slirp_new) create = nullptr;
    decltype(&::slirp_cleanup) cleanup = nullptr;
    decltype(&::slirp_input) input = nullptr;
    decltype(&::slirp_pollfds_fill) fill = nullptr;
    decltype(&::slirp_pollfds_poll) poll = nullptr;
    decltype(&::slirp_add_hostfwd) add_forward = nullptr;
    decltype(&::slirp_add_unix) add_unix = nullptr;

    /// Errors: ENOSYS (it is not installed, or lacks what is needed).
    static Result<const SlirpLibrary*> get();
    /// Held during each of these calls: the library has variables of its own, such as the time.
    static std::mutex& mutex();
};

}  // namespace vmm::net
