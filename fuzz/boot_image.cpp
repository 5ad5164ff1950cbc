// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vmm/boot/boot.hpp>
#include <vmm/x86_64/layout.hpp>

/// A kernel's file is hostile. The first byte chooses how it is started, the others are the file,
/// and the initrd, too. Loading ends with a boot state in RAM or with one line.
namespace {

using namespace vmm;

constexpr std::uint64_t ram = 8 << 20;

void require(bool holds, const char* what, const std::string& message) {
    if (!holds) {
        std::fprintf(stderr, "%s: %s\n", what, message.c_str());
        std::abort();
    }
}

/// A file that has just these bytes, by its path.
class File {
public:
    const std::string& with(const std::uint8_t* data, std::size_t size) {
        if (::ftruncate(fd_, 0) != 0 ||
            ::pwrite(fd_, data, size, 0) != static_cast<ssize_t>(size)) {
            std::abort();
        }
        return path_;
    }

private:
    int fd_ = ::memfd_create("kernel", MFD_CLOEXEC);
    std::string path_ = "/proc/self/fd/" + std::to_string(fd_);
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static File file;
    static const Result<GuestMemory> memory = GuestMemory::create(x86_64::ram_regions(ram));
    if (!memory || size < 2) {
        return 0;
    }
    BootConfig config;
    config.kernel = file.with(data + 1, size - 1);
    config.protocol = static_cast<BootProtocol>(data[0] % 5);
    config.unpack = data[0] & 0x20 ? Unpack::guest : Unpack::host;
    if (data[0] & 0x40) {
        config.initrd = config.kernel;
    }
    if (data[0] & 0x80) {
        config.modules = {{config.kernel, "arguments"}};
    }
    const BootInputs inputs{
        .rsdp = kvm::Gpa(0xe0000),
        .reserved = {{kvm::Gpa(0xe0000), 0x20000, MemoryType::acpi}, {kvm::Gpa(0x700000), 0x1000}},
        .notes = nullptr};
    const auto state = load(*memory, config, inputs);
    if (state) {
        require(memory->contains(kvm::Gpa(state->rip), 1), "the entry is not in RAM", "");
        require(state->rip < 0x700000 || state->rip >= 0x701000, "the entry is reserved", "");
    } else {
        const std::string& message = state.error().message;
        require(!message.empty(), "an error says nothing", message);
        require(message.find('\n') == std::string::npos, "an error has two lines", message);
    }
    return 0;
}
