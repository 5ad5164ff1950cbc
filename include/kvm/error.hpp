// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <expected>
#include <type_traits>

/// Errors are values: 16 bytes, trivially copyable, made without allocation.
///
/// An errno from an ioctl is ordinary control flow for a VMM, so nothing in this library throws.
/// Use a Result plainly, with `KVM_TRY` (kvm/try.hpp) or with `must()` (kvm/throw.hpp).
namespace kvm {

/// Why an operation failed: what was attempted, the errno, and a number that belongs to it.
struct Error {
    /// The operation, in the kernel's own words (`"KVM_SET_MSRS"`) or the library's. Static
    /// storage.
    const char* what = "";
    /// An errno value (`EBADF`, `EINVAL`, ...), positive, never 0.
    int code = 0;
    /// What the operation documents: the index of the MSR that was refused, the slot, the vCPU id.
    std::uint32_t detail = 0;

    /// The same operation by its text, wherever that is kept, the same errno and number.
    friend constexpr bool operator==(const Error& a, const Error& b) {
        return a.code == b.code && a.detail == b.detail && __builtin_strcmp(a.what, b.what) == 0;
    }
};
static_assert(sizeof(Error) == 16 && __is_trivially_copyable(Error));

/// A value or an Error. `[[nodiscard]]`: an ignored failure does not compile without a warning.
template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
public:
    using std::expected<T, Error>::expected;
    /// A T() or, for void, success. Written out, as the implicit one zeroes the whole object first.
    constexpr Result()
        requires std::is_default_constructible_v<std::expected<T, Error>>
        : std::expected<T, Error>() {}
};

/// An Error on its way out: `return kvm::fail("KVM_RUN", EBADF);`
constexpr std::unexpected<Error> fail(const char* what, int code, std::uint32_t detail = 0) {
    return std::unexpected<Error>(Error{what, code, detail});
}

/// What the error means to a person and what mends it, for instance "join group kvm" for EACCES on
/// opening /dev/kvm. Static storage; "" if the errno's own text says it all. Cold:
/// src/kvm/error.cpp.
const char* explain(const Error& error);

/// Writes "KVM_CREATE_VM: Device or resource busy (16): another hypervisor ..." into `buffer`
/// (always terminated, cut if need be) and returns `buffer`. Allocates nothing.
const char* describe(const Error& error, char* buffer, std::size_t size);

}  // namespace kvm
