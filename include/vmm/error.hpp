// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <expected>
#include <kvm/error.hpp>
#include <string>
#include <string_view>
#include <utility>

/// The toolkit's errors are for people: one line that names the file, option or device and the
/// cause.
namespace vmm {

/// Why something failed, as one line without a full stop, and the errno behind it (0 if there is
/// none).
struct Error {
    std::string message;
    int code = 0;
    /// The setting, an option of the program, whose value is no good: then the message begins with
    /// "setting: ". Empty for all other errors.
    std::string setting{};

    Error(std::string text, int errno_value = 0) : message(std::move(text)), code(errno_value) {}
    /// "KVM_CREATE_VM: Device or resource busy (16): another hypervisor has the CPU".
    Error(const kvm::Error& error);
};

/// A value or an Error. `[[nodiscard]]`.
template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
public:
    using std::expected<T, Error>::expected;
};

/// An Error on its way out: `return vmm::fail(fmt::format("{}: not a kernel", path));`
inline std::unexpected<Error> fail(std::string message, int code = 0) {
    return std::unexpected<Error>(Error(std::move(message), code));
}

/// "prefix: strerror(code)" on its way out: for system calls that name a file or option.
std::unexpected<Error> fail_errno(std::string prefix, int code);

/// "setting: cause" on its way out: what is wrong with a setting's value.
std::unexpected<Error> about_setting(std::string_view setting, Error cause);

}  // namespace vmm
