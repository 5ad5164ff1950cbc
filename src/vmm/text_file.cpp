// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <fstream>
#include <sstream>
#include <vmm/text_file.hpp>

namespace vmm {

Result<std::string> read_text_file(const std::string& path) {
    errno = 0;
    const std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    if (file) {
        text << file.rdbuf();
    }
    if (!file || text.bad() || (text.fail() && errno != 0)) {
        return fail_errno(path, errno != 0 ? errno : EIO);
    }
    return std::move(text).str();
}

}  // namespace vmm
