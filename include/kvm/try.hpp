// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/error.hpp>
#include <utility>

/// `KVM_TRY(expression)`: the value of a Result, or a return of its Error from the enclosing
/// function. A GNU statement expression, so it nests in expressions: `auto vcpu =
/// KVM_TRY(vm.create_vcpu(id));` Opt-in: no other public header includes this one.
#define KVM_TRY(...)                                                                               \
    ({                                                                                             \
        auto kvm_try_result_ = (__VA_ARGS__);                                                      \
        if (!kvm_try_result_) [[unlikely]] {                                                       \
            return ::std::unexpected(kvm_try_result_.error());                                     \
        }                                                                                          \
        ::kvm::detail::try_value(kvm_try_result_);                                                 \
    })

namespace kvm::detail {

template <class R>
constexpr decltype(auto) try_value(R& result) {
    if constexpr (__is_same(typename R::value_type, void)) {
        return;
    } else {
        return typename R::value_type(::std::move(*result));
    }
}

}  // namespace kvm::detail
