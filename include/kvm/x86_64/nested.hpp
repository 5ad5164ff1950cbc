// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdlib>
#include <kvm/abi/x86_64_more.hpp>
#include <kvm/error.hpp>
#include <span>

namespace kvm::x86_64 {

/// NestedState and the control blocks that follow it (VMCS12 and its shadow, or VMCB12), in one
/// heap block. Move-only.
class NestedStateBlob {
public:
    /// Zeroes, `bytes` long in all, at least sizeof(NestedState), with NestedState::size set.
    /// Errors: ENOMEM, EINVAL (too short).
    static Result<NestedStateBlob> with_size(std::size_t bytes);

    NestedStateBlob(NestedStateBlob&& other) noexcept
        : state_(other.state_), capacity_(other.capacity_) {
        other.state_ = nullptr;
        other.capacity_ = 0;
    }
    NestedStateBlob& operator=(NestedStateBlob&& other) noexcept;
    ~NestedStateBlob() { std::free(state_); }

    /// The state's beginning, with its format, flags and size.
    NestedState& header() { return *state_; }
    const NestedState& header() const { return *state_; }
    /// How many bytes there is room for, the header included, and how many NestedState::size tells
    /// of.
    std::size_t capacity() const { return capacity_; }
    std::size_t wanted() const { return state_ ? state_->size : 0; }
    /// What follows the header, as much of it as NestedState::size says.
    std::span<std::byte> data() { return {reinterpret_cast<std::byte*>(state_ + 1), data_size()}; }
    std::span<const std::byte> data() const {
        return {reinterpret_cast<const std::byte*>(state_ + 1), data_size()};
    }

private:
    NestedStateBlob(NestedState* state, std::size_t capacity)
        : state_(state), capacity_(capacity) {}
    std::size_t data_size() const {
        const std::size_t size = state_->size < capacity_ ? state_->size : capacity_;
        return size > sizeof(NestedState) ? size - sizeof(NestedState) : 0;
    }

    NestedState* state_;
    std::size_t capacity_;
};

}  // namespace kvm::x86_64
