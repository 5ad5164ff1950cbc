// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cstring>
#include <vmm/error.hpp>

namespace vmm {

Error::Error(const kvm::Error& error) : code(error.code) {
    char text[512];
    message = kvm::describe(error, text, sizeof text);
}

std::unexpected<Error> fail_errno(std::string prefix, int code) {
    const char* text = strerrordesc_np(code);
    return fail(std::move(prefix) + ": " + (text ? text : "error " + std::to_string(code)), code);
}

std::unexpected<Error> about_setting(std::string_view setting, Error cause) {
    cause.setting = setting;
    cause.message.insert(0, cause.setting + ": ");
    return std::unexpected<Error>(std::move(cause));
}

}  // namespace vmm
