// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <string>
#include <utility>
#include <vmm/error.hpp>

namespace vmm::detail {

/// A file that a machine writes to, which may have to be made for it. Until keep(), what was made
/// goes with this: a machine that is not made leaves nothing. Move-only.
class NewFile {
public:
    /// Makes an empty file, unless there is one of any kind. Errors: open(2)'s.
    static Result<NewFile> create(const std::string& path);
    NewFile(NewFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
    NewFile& operator=(NewFile&&) = delete;
    ~NewFile();

    void keep() { path_.clear(); }

private:
    explicit NewFile(std::string path) : path_(std::move(path)) {}

    std::string path_;  // to be removed, or ""
};

}  // namespace vmm::detail
