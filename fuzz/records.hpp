// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vmm/device/bus.hpp>

/// What fuzz targets of devices have in common.
namespace vmm::fuzz {

[[noreturn]] inline void fail_now(const char* what) {
    std::fputs(what, stderr);
    std::abort();
}

/// What must not fail.
template <class T>
T check(Result<T> result) {
    if (!result) {
        fail_now(result.error().message.c_str());
    }
    if constexpr (!std::is_void_v<T>) {
        return std::move(*result);
    }
}

/// What is left of the input, as numbers; zeros behind its end.
class Records {
public:
    explicit Records(std::span<const std::byte> input) : left_(input) {}
    bool more() const { return !left_.empty(); }
    template <class T>
    T next() {
        T value{};
        const std::size_t n = std::min(sizeof value, left_.size());
        std::memcpy(&value, left_.data(), n);
        left_ = left_.subspan(n);
        return value;
    }
    std::span<const std::byte> bytes(std::size_t most) {
        const auto part = left_.first(std::min(most, left_.size()));
        left_ = left_.subspan(part.size());
        return part;
    }

private:
    std::span<const std::byte> left_;
};

/// An access to `bus`; the upper bits of `kind` are its size less 1.
inline void access(Bus& bus, std::uint64_t address, unsigned kind, std::uint64_t value) {
    std::array<std::byte, 8> bytes;
    std::memcpy(bytes.data(), &value, sizeof value);
    const auto part = std::span(bytes).first(1 + (kind >> 4) % 8);
    if (kind & 8) {
        bus.read(address, part);
    } else {
        bus.write(address, part);
    }
}

}  // namespace vmm::fuzz
