// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <fcntl.h>
#include <kvm/fd.hpp>
#include <unistd.h>
#include <vmm/machine/new_file.hpp>

namespace vmm::detail {

Result<NewFile> NewFile::create(const std::string& path) {
    constexpr int mode = 0666;
    const kvm::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (!fd.valid() && errno != EEXIST) {
        return fail_errno(path, errno);
    }
    return NewFile(fd.valid() ? path : std::string());
}

NewFile::~NewFile() {
    if (!path_.empty()) {
        (void)::unlink(path_.c_str());
    }
}

}  // namespace vmm::detail
