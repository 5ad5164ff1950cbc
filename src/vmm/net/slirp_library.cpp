// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/net/slirp_library.hpp>

#include <cerrno>
#include <dlfcn.h>
#include <fmt/format.h>

namespace vmm::net {

namespace {

Result<SlirpLibrary> load() {
    constexpr const char* file = "libslirp.so.0";
    void* const library = ::dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        return fail(fmt::format("a user network needs libslirp: {}", ::dlerror()), ENOSYS);
    }
    SlirpLibrary found;
    const char* missing = nullptr;
    const auto find = [&]<class Function>(const char* name, Function& function) {
        function = reinterpret_cast<Function>(::dlsym(library, name));
        missing = function ? missing : name;
    };
    find("slirp_new", found.create);
    find("slirp_cleanup", found.cleanup);
    find("slirp_input", found.input);
    find("slirp_pollfds_fill", found.fill);
    find("slirp_pollfds_poll", found.poll);
    find("slirp_add_hostfwd", found.add_forward);
    find("slirp_add_unix", found.add_unix);
    if (missing) {
        return fail(fmt::format("{} is too old: it has no {}", file, missing), ENOSYS);
    }
    return found;
}

}  // namespace

Result<const SlirpLibrary*> SlirpLibrary::get() {
    static const Result<SlirpLibrary> library = load();
    if (!library) {
        return std::unexpected(library.error());
    }
    return &*library;
}

std::mutex& SlirpLibrary::mutex() {
    static std::mutex mutex;
    return mutex;
}

}  // namespace vmm::net
