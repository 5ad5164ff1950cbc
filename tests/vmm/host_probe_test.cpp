// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vmm/host/examine.hpp>
#include <vmm/host/probe.hpp>

/// probe() below a directory that stands for a host's /proc, /sys and /lib, and on files that are
/// no KVM.
namespace vmm::host {
namespace {

namespace fs = std::filesystem;

class HostProbe : public ::testing::Test {
protected:
    void SetUp() override {
        std::string name = ::testing::TempDir() + "kvmxx-host-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        root_ = name;
    }
    void TearDown() override {
        std::error_code ignored;
        fs::remove_all(root_, ignored);
    }

    void write(const std::string& path, const std::string& text) const {
        fs::create_directories((root_ + path).substr(0, (root_ + path).rfind('/')));
        std::ofstream(root_ + path) << text;
    }
    Report look(const std::string& device = "/nonexistent") const {
        return probe({.device = device, .root = root_, .measure = Measure::no});
    }

    std::string root_;
};

TEST_F(HostProbe, EmptyHostSaysOfEachFactWhyItIsMissing) {
    const Report report = look();
    EXPECT_EQ(report.cpu.why, root_ + "/proc/cpuinfo: No such file or directory");
    EXPECT_EQ(report.memory.why, root_ + "/proc/meminfo: No such file or directory");
    EXPECT_EQ(report.modules.why, root_ + "/sys/module: No such file or directory");
    EXPECT_FALSE(report.module_files);
    EXPECT_EQ(report.driver(), nullptr);
    EXPECT_EQ(report.module("kvm"), nullptr);
    EXPECT_FALSE(report.device_registered);
    EXPECT_NE(report.kernel.release, "");
}

TEST_F(HostProbe, ModulesAreFoundWithTheirParameters) {
    write("/sys/module/kvm/parameters/halt_poll_ns", "200000\n");
    write("/sys/module/kvm_amd/parameters/npt", "Y\n");
    write("/sys/module/kvm_amd/parameters/nested", "1\n");
    write("/sys/module/ext4/parameters/nothing", "0\n");
    write("/sys/module/kvmgt/initstate", "live\n");
    write("/proc/modules", "kvm_amd 163840 0 - Live 0x0\nxkvm 1 0 - Live 0x0\n");
    const Report report = look();
    ASSERT_TRUE(report.modules);
    ASSERT_EQ(report.modules->size(), 2u);
    ASSERT_NE(report.driver(), nullptr);
    EXPECT_EQ(report.driver()->name, "kvm_amd");
    EXPECT_FALSE(report.driver()->built_in);
    EXPECT_EQ(*report.driver()->parameter("npt"), "Y");
    EXPECT_EQ(report.driver()->parameter("ept"), nullptr);
    ASSERT_EQ(report.driver()->parameters.size(), 2u);
    EXPECT_EQ(report.driver()->parameters[0].name, "nested") << "in order of name";
    ASSERT_NE(report.module("kvm"), nullptr);
    EXPECT_TRUE(report.module("kvm")->built_in);
}

TEST_F(HostProbe, ParameterThatCannotBeReadSaysWhy) {
    fs::create_directories(root_ + "/sys/module/kvm/parameters/odd");
    const Report report = look();
    ASSERT_NE(report.module("kvm"), nullptr);
    ASSERT_EQ(report.module("kvm")->parameters.size(), 1u);
    EXPECT_FALSE(report.module("kvm")->parameters[0].value);
    EXPECT_NE(report.module("kvm")->parameters[0].value.why.find("Is a directory"),
              std::string::npos);
    EXPECT_EQ(report.module("kvm")->parameter("odd"), nullptr);
}

TEST_F(HostProbe, CpuAndMemoryAreReadFromTheFirstEntry) {
    write("/proc/cpuinfo",
          "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: A CPU: fast\n"
          "flags\t\t: fpu vmx hypervisor\n\nprocessor\t: 1\nvendor_id\t: Other\n");
    write("/proc/meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\nMemAvailable:   1024 kB\n");
    const Report report = look();
    ASSERT_TRUE(report.cpu);
    EXPECT_EQ(report.cpu->vendor, "GenuineIntel");
    EXPECT_EQ(report.cpu->model, "A CPU: fast");
    EXPECT_TRUE(report.cpu->has("vmx") && report.cpu->has("hypervisor"));
    EXPECT_FALSE(report.cpu->has("svm") || report.cpu->has("fp"));
    ASSERT_TRUE(report.memory);
    EXPECT_EQ(report.memory->total, 2048u << 10);
    EXPECT_EQ(report.memory->available, 1024u << 10);
}

TEST_F(HostProbe, FilesOfNonsenseAreNoMoreThanNonsense) {
    write("/proc/cpuinfo", std::string(100000, ':') + std::string(5, '\0') + "\n\nflags");
    write("/proc/meminfo", "MemTotal: 99999999999999999999999999 kB\nMemAvailable: -1 kB\n");
    write("/proc/modules", "\n\n\xff\xfe kvm");
    write("/sys/module/kvm_\xff/parameters/\x01", "\xff");
    const Report report = look();
    ASSERT_TRUE(report.cpu);
    EXPECT_TRUE(report.cpu->flags.empty());
    ASSERT_TRUE(report.memory);
    EXPECT_EQ(report.memory->available, 0u);
    EXPECT_NE(report.driver(), nullptr);
    (void)examine(report);
}

TEST_F(HostProbe, ModuleFilesAreThoseOfThisKernel) {
    const std::string release = look().kernel.release;
    write("/lib/modules/" + release + "/modules.dep",
          "kernel/arch/x86/kvm/kvm.ko.xz:\nkernel/arch/x86/kvm/kvm-amd.ko.xz: a.ko\n"
          "kernel/fs/ext4/ext4.ko:\nkernel/drivers/kvmgt.ko:\n");
    const Report report = look();
    ASSERT_TRUE(report.module_files);
    EXPECT_EQ(*report.module_files, (std::vector<std::string>{"kvm", "kvm_amd"}));
}

TEST_F(HostProbe, ContainersAreKnownByTheirSigns) {
    EXPECT_EQ(look().process.container, "");
    write("/proc/self/cgroup", "0::/kubepods/pod1\n");
    EXPECT_EQ(look().process.container, "kubepods");
    write("/.dockerenv", "");
    EXPECT_EQ(look().process.container, "docker");
    write("/run/systemd/container", "systemd-nspawn\n");
    EXPECT_EQ(look().process.container, "systemd-nspawn");
}

TEST_F(HostProbe, RivalsAndTheRegisteredDeviceAreSeen) {
    write("/sys/module/vboxdrv/initstate", "live\n");
    write("/sys/class/misc/kvm/dev", "10:232\n");
    const Report report = look();
    EXPECT_EQ(report.rivals, std::vector<std::string>{"vboxdrv"});
    EXPECT_TRUE(report.device_registered);
}

TEST_F(HostProbe, MissingDeviceIsThatErrno) {
    const Report report = look();
    EXPECT_EQ(report.device.path, "/nonexistent");
    EXPECT_EQ(report.device.stat_error, ENOENT);
    EXPECT_EQ(report.device.open_error, ENOENT);
    EXPECT_FALSE(report.kvm || report.device.opened);
}

TEST_F(HostProbe, NullDeviceOpensAndIsNoKvm) {
    const Report report = look("/dev/null");
    EXPECT_EQ(report.device.stat_error, 0);
    EXPECT_TRUE(report.device.character_device && report.device.opened);
    EXPECT_EQ(report.device.open_error, ENOTTY);
    EXPECT_EQ(report.device.major_number, 1u);
    EXPECT_EQ(report.device.minor_number, 3u);
    EXPECT_FALSE(report.kvm);
}

TEST_F(HostProbe, PlainFileAndDirectoryAreNoDevices) {
    write("/plain", "text");
    EXPECT_FALSE(look(root_ + "/plain").device.character_device);
    EXPECT_EQ(look(root_).device.open_error, EISDIR);
    EXPECT_EQ(worst(examine(look(root_))), Verdict::fail);
}

TEST_F(HostProbe, DeviceNumberWithoutADriverSaysSo) {
    const std::string path = root_ + "/kvm";
    // 10, 254 is reserved by misc for local use: nobody answers there.
    if (::mknod(path.c_str(), S_IFCHR | 0600, makedev(10, 254)) != 0) {
        GTEST_SKIP() << "mknod needs CAP_MKNOD";
    }
    const Report report = look(path);
    if (report.device.open_error == EACCES || report.device.open_error == EPERM) {
        GTEST_SKIP() << "this file system or container forbids devices";
    }
    EXPECT_EQ(report.device.open_error, ENODEV);
    EXPECT_FALSE(report.device.opened);
}

}  // namespace
}  // namespace vmm::host
