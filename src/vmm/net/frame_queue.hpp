// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace vmm::net {

/// Frames that wait for the guest, one behind the other in one piece of memory.
class FrameQueue {
public:
    bool empty() const { return head_ == bytes_.size(); }
    /// Bytes, with 4 for each frame.
    std::size_t size() const { return bytes_.size() - head_; }
    void push(std::span<const std::byte> frame) {
        if (head_ > bytes_.size() / 2) {
            bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(head_));
            head_ = 0;
        }
        const auto length = static_cast<std::uint32_t>(frame.size());
        const auto* const first = reinterpret_cast<const std::byte*>(&length);
        bytes_.insert(bytes_.end(), first, first + sizeof length);
        bytes_.insert(bytes_.end(), frame.begin(), frame.end());
    }
    /// The first; valid until push(). There is one.
    std::span<const std::byte> front() const {
        std::uint32_t length = 0;
        std::memcpy(&length, bytes_.data() + head_, sizeof length);
        return std::span(bytes_).subspan(head_ + sizeof length, length);
    }
    void pop() {
        head_ += sizeof(std::uint32_t) + front().size();
        if (empty()) {
            clear();
        }
    }
    void clear() {
        bytes_.clear();
        head_ = 0;
    }

private:
    std::vector<std::byte> bytes_;
    std::size_t head_ = 0;
};

}  // namespace vmm::net
