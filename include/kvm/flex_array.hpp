// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <kvm/error.hpp>
#include <span>

namespace kvm {

/// A kernel structure that ends in an array: a Header with a count, then `capacity` entries, in one
/// heap block laid out as the kernel wants it, and a contiguous range of the entries.
///
/// size() never exceeds capacity(), whatever the kernel writes into the count. Move-only.
template <class Header, class Entry, auto Count>
class FlexArray {
    static_assert(alignof(Entry) <= alignof(std::max_align_t));
    static_assert(sizeof(Header) % alignof(Entry) == 0, "the entries follow the header at once");

public:
    /// What a range's value type is, and the kernel's header before it.
    using header_type = Header;
    using value_type = Entry;

    /// Room for `capacity` entries, all zero, with the count at 0. Errors: ENOMEM.
    static Result<FlexArray> with_capacity(std::size_t capacity) {
        FlexArray array;
        if (capacity > (std::size_t(1) << 31) / sizeof(Entry)) {
            return fail("FlexArray", ENOMEM);
        }
        array.block_ =
            static_cast<Header*>(std::calloc(1, sizeof(Header) + capacity * sizeof(Entry)));
        if (!array.block_) {
            return fail("FlexArray", ENOMEM);
        }
        array.capacity_ = capacity;
        return array;
    }
    /// A copy of `entries`. Errors: ENOMEM.
    static Result<FlexArray> from(std::span<const Entry> entries) {
        auto array = with_capacity(entries.size());
        if (array) {
            if (!entries.empty()) {
                std::memcpy(array->data(), entries.data(), entries.size_bytes());
            }
            array->set_size(entries.size());
        }
        return array;
    }

    FlexArray(FlexArray&& other) noexcept : block_(other.block_), capacity_(other.capacity_) {
        other.block_ = nullptr;
        other.capacity_ = 0;
    }
    FlexArray& operator=(FlexArray&& other) noexcept {
        if (this != &other) {
            std::free(block_);
            block_ = other.block_;
            capacity_ = other.capacity_;
            other.block_ = nullptr;
            other.capacity_ = 0;
        }
        return *this;
    }
    ~FlexArray() { std::free(block_); }

    /// What the ioctl gets. Only a moved-from array has none.
    Header& header() { return *block_; }
    const Header& header() const { return *block_; }

    /// How many entries there is room for.
    std::size_t capacity() const { return capacity_; }
    /// How many entries there are: the count, but never more than capacity().
    std::size_t size() const {
        const std::size_t count = block_ ? block_->*Count : 0;
        return count < capacity_ ? count : capacity_;
    }
    /// Whether there are none.
    bool empty() const { return size() == 0; }
    /// The count as the kernel left it: after E2BIG, some ioctls store what they need here.
    std::size_t wanted() const { return block_ ? block_->*Count : 0; }
    /// Changes the count, at most to the capacity; new entries keep the bytes they have.
    void set_size(std::size_t size) {
        block_->*Count = static_cast<std::remove_reference_t<decltype(block_->*Count)>>(
            size < capacity_ ? size : capacity_);
    }
    /// Appends an entry. Errors: ENOSPC at capacity.
    Result<void> push_back(const Entry& entry) {
        if (size() == capacity_) {
            return fail("FlexArray::push_back", ENOSPC);
        }
        data()[size()] = entry;
        set_size(size() + 1);
        return {};
    }

    /// The entries, as a contiguous range has them; operator[] checks nothing.
    Entry* data() { return block_ ? reinterpret_cast<Entry*>(block_ + 1) : nullptr; }
    const Entry* data() const {
        return block_ ? reinterpret_cast<const Entry*>(block_ + 1) : nullptr;
    }
    Entry* begin() { return data(); }
    Entry* end() { return data() + size(); }
    const Entry* begin() const { return data(); }
    const Entry* end() const { return data() + size(); }
    Entry& operator[](std::size_t i) { return data()[i]; }
    const Entry& operator[](std::size_t i) const { return data()[i]; }
    operator std::span<Entry>() { return {data(), size()}; }
    operator std::span<const Entry>() const { return {data(), size()}; }

private:
    FlexArray() = default;

    Header* block_ = nullptr;
    std::size_t capacity_ = 0;
};

namespace detail {

/// Calls `fill(header)` with growing arrays until the kernel no longer says E2BIG: the growth,
/// once. A count that the kernel stored beyond the capacity is believed as the capacity that it
/// needs.
template <class Array, class Fill>
Result<Array> grow_until_filled(std::size_t capacity, Fill fill) {
    constexpr std::size_t most = 1 << 16;
    for (;;) {
        auto array = Array::with_capacity(capacity);
        if (!array) {
            return array;
        }
        array->set_size(capacity);
        auto filled = fill(array->header());
        const std::size_t needed = array->wanted();
        if (filled && needed <= capacity) {
            return array;
        }
        if (filled && capacity >= most) {
            return fail("FlexArray", EPROTO, static_cast<std::uint32_t>(needed));
        }
        if (!filled && (filled.error().code != E2BIG || capacity >= most)) {
            return std::unexpected(filled.error());
        }
        capacity = needed > capacity && needed <= most ? needed : capacity * 2;
    }
}

}  // namespace detail

}  // namespace kvm
