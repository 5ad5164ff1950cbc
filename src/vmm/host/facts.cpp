// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "facts.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vmm/error.hpp>

namespace vmm::host {

namespace fs = std::filesystem;

namespace {

/// The whole of a file, at most 16 MiB: those of /proc and /sys do not tell their size.
Found<std::string> read_file(const std::string& path) {
    using File = Found<std::string>;
    std::FILE* file = std::fopen(path.c_str(), "re");
    if (!file) {
        return File::missing(fail_errno(path, errno).error().message);
    }
    std::string text;
    char part[16384];
    std::size_t size;
    while (text.size() < (16u << 20) && (size = std::fread(part, 1, sizeof part, file)) > 0) {
        text.append(part, size);
    }
    const int error = std::ferror(file) ? errno : 0;
    std::fclose(file);
    if (error) {
        return File::missing(fail_errno(path, error).error().message);
    }
    return text;
}

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\n");
    if (first == text.npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

/// What follows the colon on the line that begins with `key`; "" if there is none.
std::string_view field(std::string_view text, std::string_view key) {
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        const auto line = text.substr(at, end - at);
        const auto colon = line.find(':');
        if (colon != line.npos && trim(line.substr(0, colon)) == key) {
            return trim(line.substr(colon + 1));
        }
        at = end + 1;
    }
    return {};
}

std::uint64_t kib(std::string_view text) {
    std::uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number << 10;
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

/// Signs of a container, the most telling first.
std::string read_container(const std::string& root) {
    if (const auto name = read_file(root + "/run/systemd/container")) {
        return std::string(trim(*name));
    }
    if (exists(root + "/.dockerenv")) {
        return "docker";
    }
    if (exists(root + "/run/.containerenv")) {
        return "podman";
    }
    if (const auto cgroups = read_file(root + "/proc/self/cgroup")) {
        for (const char* name : {"kubepods", "docker", "libpod", "lxc", "containerd"}) {
            if (cgroups->find(name) != std::string::npos) {
                return name;
            }
        }
    }
    return {};
}

bool is_kvm(std::string_view name) { return name == "kvm" || name.starts_with("kvm_"); }

std::vector<Parameter> read_parameters(const fs::path& module) {
    std::vector<Parameter> parameters;
    std::error_code error;
    for (fs::directory_iterator entry(module / "parameters", error), end; !error && entry != end;
         entry.increment(error)) {
        auto value = read_file(entry->path());
        parameters.push_back({entry->path().filename(),
                              value ? Found<std::string>(std::string(trim(*value))) : value});
    }
    std::ranges::sort(parameters, {}, &Parameter::name);
    return parameters;
}

bool has_group(gid_t group) {
    if (group == ::getegid()) {
        return true;
    }
    std::vector<gid_t> groups(static_cast<std::size_t>(std::max(0, ::getgroups(0, nullptr))));
    const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
    groups.resize(static_cast<std::size_t>(std::max(0, count)));
    return std::ranges::find(groups, group) != groups.end();
}

}  // namespace

Kernel read_kernel() {
    utsname name{};
    if (::uname(&name) != 0) {
        return {};  // EFAULT is its only error
    }
    return {name.release, name.version, name.machine};
}

Found<Cpu> read_cpu(const std::string& root) {
    const auto text = read_file(root + "/proc/cpuinfo");
    if (!text) {
        return Found<Cpu>::missing(text.why);
    }
    Cpu cpu;
    cpu.vendor = field(*text, "vendor_id");
    cpu.model = field(*text, "model name");
    std::istringstream flags{std::string(field(*text, "flags"))};
    for (std::string flag; flags >> flag;) {
        cpu.flags.push_back(std::move(flag));
    }
    cpu.count = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
    return cpu;
}

Found<Memory> read_memory(const std::string& root) {
    const auto text = read_file(root + "/proc/meminfo");
    if (!text) {
        return Found<Memory>::missing(text.why);
    }
    return Memory{kib(field(*text, "MemTotal")), kib(field(*text, "MemAvailable"))};
}

Process read_process(const std::string& root) {
    Process process;
    process.user = ::geteuid();
    if (const passwd* user = ::getpwuid(process.user)) {
        process.user_name = user->pw_name;
    }
    process.container = read_container(root);
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        process.open_files = limit.rlim_cur;
        process.open_files_hard = limit.rlim_max;
    }
    if (::getrlimit(RLIMIT_AS, &limit) == 0) {
        process.address_space = limit.rlim_cur;
    }
    return process;
}

Found<std::vector<Module>> read_modules(const std::string& root) {
    const fs::path directory = root + "/sys/module";
    std::error_code error;
    fs::directory_iterator entry(directory, error);
    if (error) {
        return Found<std::vector<Module>>::missing(
            fail_errno(directory, error.value()).error().message);
    }
    const auto loaded = read_file(root + "/proc/modules");
    std::vector<Module> modules;
    for (const fs::directory_iterator end; !error && entry != end; entry.increment(error)) {
        const std::string name = entry->path().filename();
        if (is_kvm(name)) {
            const bool listed =
                loaded && ("\n" + *loaded).find("\n" + name + " ") != std::string::npos;
            modules.push_back({name, !listed, read_parameters(entry->path())});
        }
    }
    std::ranges::sort(modules, {}, &Module::name);
    return modules;
}

Found<std::vector<std::string>> read_module_files(const std::string& root,
                                                  const std::string& release) {
    const std::string list = fmt::format("{}/lib/modules/{}/modules.dep", root, release);
    const auto text = read_file(list);
    if (!text) {
        return Found<std::vector<std::string>>::missing(text.why);
    }
    std::vector<std::string> names;
    std::istringstream lines(*text);
    for (std::string line; std::getline(lines, line);) {
        std::string name = fs::path(line.substr(0, line.find(':'))).filename();
        name = name.substr(0, name.find(".ko"));
        std::ranges::replace(name, '-', '_');
        if (is_kvm(name)) {
            names.push_back(std::move(name));
        }
    }
    std::ranges::sort(names);
    return names;
}

std::vector<std::string> read_rivals(const std::string& root) {
    std::vector<std::string> rivals;
    for (const char* name : {"vboxdrv", "vmmon"}) {
        if (exists(fmt::format("{}/sys/module/{}", root, name))) {
            rivals.emplace_back(name);
        }
    }
    return rivals;
}

bool read_device_registered(const std::string& root) {
    return exists(root + "/sys/class/misc/kvm");
}

DeviceFile read_device_file(const std::string& path, const std::string& user_name) {
    DeviceFile device;
    device.path = path;
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
        device.stat_error = errno;
        return device;
    }
    device.character_device = S_ISCHR(status.st_mode);
    device.major_number = major(status.st_rdev);
    device.minor_number = minor(status.st_rdev);
    device.mode = status.st_mode & 07777;
    device.owner = status.st_uid;
    device.group = status.st_gid;
    struct statvfs mount{};
    device.on_nodev_mount = ::statvfs(path.c_str(), &mount) == 0 && (mount.f_flag & ST_NODEV) != 0;
    device.in_group = has_group(status.st_gid);
    device.kvm_group_exists = ::getgrnam("kvm") != nullptr;
    if (const group* group = ::getgrgid(status.st_gid)) {
        device.group_name = group->gr_name;
        for (char** member = group->gr_mem; member && *member; ++member) {
            device.listed_in_group |= user_name == *member;
        }
    }
    return device;
}

}  // namespace vmm::host
