// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cerrno>
#include <cstddef>
#include <span>
#include <sys/mman.h>
#include <system_error>

namespace kvm::test {

/// Pages of memory for a slot, zeroed, unmapped at the end.
class Pages {
public:
    explicit Pages(std::size_t count) {
        void* memory =
            mmap(nullptr, count * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            throw std::system_error(errno, std::generic_category(), "mmap of a slot's memory");
        }
        bytes_ = {static_cast<std::byte*>(memory), count * 4096};
    }
    ~Pages() { munmap(bytes_.data(), bytes_.size()); }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    std::span<std::byte> bytes() const { return bytes_; }

private:
    std::span<std::byte> bytes_;
};

}  // namespace kvm::test
