// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vmm/host/examine.hpp>
#include <vmm/host/probe.hpp>

/// examine() on hosts that are made up, one fault each.
namespace vmm::host {
namespace {

Kvm healthy_kvm() {
    Kvm kvm;
    kvm.api_version = 12;
    for (const kvm::cap::Any& any : kvm::cap::all) {
        kvm.capabilities.push_back({any.number, any.name, any.kind, 1, 1});
    }
    kvm.exit_latency = ExitLatency{1000, 900, 1000};
    kvm.kernel_mode = KernelModeSpeed{KernelMode::native, 5e9};
    return kvm;
}

Report healthy() {
    Report report;
    report.kernel = {"6.1.0-test", "#1", "x86_64"};
    report.cpu = Cpu{"AuthenticAMD", "AMD Test", 4, {"fpu", "svm"}};
    report.memory = Memory{std::uint64_t(16) << 30, std::uint64_t(8) << 30};
    report.process = {1000, "ada", "", 1024, 4096, ~std::uint64_t(0)};
    report.modules = std::vector<Module>{
        {"kvm", false, {}},
        {"kvm_amd", false, {{"nested", std::string("1")}, {"npt", std::string("Y")}}}};
    report.module_files = std::vector<std::string>{"kvm", "kvm_amd"};
    report.device_registered = true;
    report.device = {"/dev/kvm", 0, true, 10, 232, 0660, 0, 108, "kvm"};
    report.device.kvm_group_exists = report.device.in_group = report.device.opened = true;
    report.kvm = healthy_kvm();
    return report;
}

/// A host where opening fails with `error`.
Report unopened(int error) {
    Report report = healthy();
    report.kvm.reset();
    report.device.opened = false;
    report.device.open_error = error;
    report.device.open_text = "the text of the error";
    return report;
}

/// A host without the device file, the modules, or the CPU's flag.
Report bare() {
    Report report = unopened(ENOENT);
    report.device = {.path = "/dev/kvm", .stat_error = ENOENT};
    report.device.open_error = ENOENT;
    report.device_registered = false;
    report.modules = std::vector<Module>{};
    return report;
}

Finding find(const Report& report, const std::string& check) {
    for (const Finding& finding : examine(report)) {
        if (finding.check == check) {
            return finding;
        }
    }
    return {"", Verdict::ok, "no finding of " + check, {}};
}

bool says(const std::string& text, const char* word) { return text.find(word) != text.npos; }

TEST(HostExamine, HealthyHostIsFineThroughout) {
    for (const Finding& finding : examine(healthy())) {
        EXPECT_EQ(finding.verdict, Verdict::ok) << finding.check << ": " << finding.text;
        EXPECT_EQ(finding.remedy, "") << finding.check;
    }
    EXPECT_GE(examine(healthy()).size(), 10u);
}

TEST(HostExamine, EveryFaultHasARemedy) {
    for (const int error : {EACCES, EPERM, ENODEV, ENXIO, EMFILE}) {
        const Finding finding = find(unopened(error), "permission");
        EXPECT_EQ(finding.verdict, Verdict::fail) << error;
        EXPECT_NE(finding.remedy, "") << error;
    }
    for (const Finding& finding : examine(bare())) {
        if (finding.verdict >= Verdict::warn) {
            EXPECT_NE(finding.remedy, "") << finding.check;
        }
    }
}

TEST(HostExamine, MissingDeviceIsMendedByTheModuleOfTheVendor) {
    Report report = bare();
    EXPECT_EQ(find(report, "device").text, "there is no /dev/kvm");
    EXPECT_EQ(find(report, "device").remedy, "load the module, as root: modprobe kvm_amd");
    report.cpu = Cpu{"GenuineIntel", "Intel Test", 4, {"fpu", "vmx"}};
    EXPECT_PRED2(says, find(report, "device").remedy, "modprobe kvm_intel");
    report.cpu = Found<Cpu>::missing("no /proc");
    EXPECT_PRED2(says, find(report, "module").remedy, "kvm_intel or kvm_amd");
}

TEST(HostExamine, CpuWithoutTheFlagHintsAtFirmwareOrAtTheOuterHypervisor) {
    Report report = bare();
    report.cpu = Cpu{"GenuineIntel", "Intel Test", 4, {"fpu"}};
    EXPECT_PRED2(says, find(report, "device").remedy, "switch Intel VT-x (VMX) on in the firmware");
    report.cpu = Cpu{"AuthenticAMD", "AMD Test", 4, {"fpu", "hypervisor"}};
    EXPECT_PRED2(says, find(report, "device").remedy, "nested virtualisation");
}

TEST(HostExamine, FlagsDecideNothingWhereKvmAnswers) {
    Report report = healthy();
    report.cpu = Cpu{"", "", 1, {"fpu"}};
    EXPECT_EQ(worst(examine(report)), Verdict::ok);
}

TEST(HostExamine, KernelWithoutTheModulesIsToldFromOneThatHasNotLoadedThem) {
    Report report = bare();
    report.module_files = std::vector<std::string>{};
    EXPECT_PRED2(says, find(report, "device").remedy, "6.1.0-test, comes without KVM's modules");
    report.module_files = Found<std::vector<std::string>>::missing("no /lib/modules");
    EXPECT_PRED2(says, find(report, "device").remedy, "modprobe kvm_amd");
}

TEST(HostExamine, ModuleThatFoundNoCpuIsNotLoadedOnceMore) {
    Report report = bare();
    report.modules = std::vector<Module>{{"kvm", true, {}}, {"kvm_amd", true, {}}};
    report.cpu = Cpu{"AuthenticAMD", "AMD Test", 4, {"fpu"}};
    EXPECT_PRED2(says, find(report, "module").text, "kvm_amd is built into the kernel, but");
    EXPECT_PRED2(says, find(report, "module").remedy, "dmesg");
    EXPECT_PRED2(says, find(report, "device").remedy, "firmware");
    EXPECT_FALSE(says(find(report, "device").remedy, "modprobe"));
}

TEST(HostExamine, ContainerNeedsTheDeviceFromOutside) {
    Report report = bare();
    report.process.container = "docker";
    EXPECT_PRED2(says, find(report, "device").remedy, "docker or podman run --device /dev/kvm");
    EXPECT_EQ(find(report, "container").verdict, Verdict::note);
    report = unopened(EPERM);
    EXPECT_PRED2(says, find(report, "permission").text, "device policy");
    EXPECT_PRED2(says, find(report, "permission").remedy, "--device /dev/kvm");
}

TEST(HostExamine, MissingFileOfARunningKvmIsOnlyMissing) {
    Report report = bare();
    report.device_registered = true;
    EXPECT_PRED2(says, find(report, "device").remedy, "mknod -m 660 /dev/kvm c 10 232");
}

TEST(HostExamine, OtherPathsThanTheUsualAreNotMendedByModules) {
    Report report = bare();
    report.device.path = "/dev/kwm";
    EXPECT_EQ(find(report, "device").text, "there is no /dev/kwm");
    EXPECT_EQ(find(report, "device").remedy, "the usual path is /dev/kvm");
}

TEST(HostExamine, PermissionIsMendedAsTheFileHasIt) {
    Report report = unopened(EACCES);
    report.device.in_group = false;
    Finding finding = find(report, "permission");
    EXPECT_EQ(finding.text, "ada may not open /dev/kvm (mode 0660, user 0, group kvm)");
    EXPECT_PRED2(says, finding.remedy, "usermod -aG kvm ada, then log in again");
    EXPECT_PRED2(says, finding.remedy, "setfacl -m u:1000:rw /dev/kvm");

    report.device.listed_in_group = true;
    EXPECT_PRED2(says, find(report, "permission").remedy, "newgrp kvm");

    report.device.in_group = true;
    EXPECT_PRED2(says, find(report, "permission").remedy, "getfacl /dev/kvm");

    report = unopened(EACCES);
    report.device.mode = 0600;
    EXPECT_PRED2(says, find(report, "permission").remedy,
                 "chgrp kvm /dev/kvm && chmod 660 /dev/kvm");
    EXPECT_FALSE(says(find(report, "permission").remedy, "groupadd"));
    report.device.kvm_group_exists = false;
    EXPECT_PRED2(says, find(report, "permission").remedy, "groupadd --system kvm && chgrp");
}

TEST(HostExamine, GroupOfAnotherNameIsTheOneToJoin) {
    Report report = unopened(EACCES);
    report.device.in_group = false;
    report.device.group_name = "virt";
    EXPECT_PRED2(says, find(report, "permission").remedy, "usermod -aG virt ada");
}

TEST(HostExamine, RootThatMayNotIsOfAUserNamespaceOrNodev) {
    Report report = unopened(EACCES);
    report.process = {0, "root", "podman", 1024, 4096, ~std::uint64_t(0)};
    EXPECT_PRED2(says, find(report, "permission").text, "user namespace");
    EXPECT_PRED2(says, find(report, "permission").remedy, "--group-add keep-groups");
    report.device.on_nodev_mount = true;
    EXPECT_PRED2(says, find(report, "permission").text, "nodev");
}

TEST(HostExamine, DeviceThatIsNotKvmIsToldByItsNumber) {
    Report report = unopened(ENOTTY);
    report.device.opened = true;
    report.device.path = "/dev/null";
    report.device.major_number = 1;
    report.device.minor_number = 3;
    EXPECT_EQ(find(report, "permission").verdict, Verdict::ok);
    EXPECT_EQ(find(report, "api").text, "/dev/null is not KVM");
    EXPECT_PRED2(says, find(report, "api").remedy, "this has 1, 3");
    EXPECT_EQ(worst(examine(report)), Verdict::fail);

    report.device.character_device = false;
    EXPECT_EQ(find(report, "device").text, "/dev/null is no device");
}

TEST(HostExamine, NoVmBecauseOfAnotherHypervisorNamesIt) {
    Report report = healthy();
    report.kvm->vm_error = "KVM_CREATE_VM: Device or resource busy (16)";
    report.rivals = {"vboxdrv"};
    EXPECT_EQ(find(report, "vm").verdict, Verdict::fail);
    EXPECT_PRED2(says, find(report, "vm").remedy, "VirtualBox");
    EXPECT_PRED2(says, find(report, "vm").remedy, "modprobe -r vboxdrv");
}

TEST(HostExamine, MissingCapabilitiesAreNamed) {
    Report report = healthy();
    for (Capability& capability : report.kvm->capabilities) {
        const bool lost = capability.number == kvm::cap::irqfd.number ||
                          capability.number == kvm::cap::readonly_mem.number;
        capability.vm = capability.system = lost ? 0 : 1;
    }
    EXPECT_EQ(find(report, "capabilities").text, "KVM lacks what guests need: IRQFD");
    EXPECT_EQ(worst(examine(report)), Verdict::fail);
    for (Capability& capability : report.kvm->capabilities) {
        capability.vm = capability.number == kvm::cap::readonly_mem.number ? 0 : 1;
    }
    EXPECT_EQ(find(report, "wanted_capabilities").text,
              "KVM lacks what guests gain from: READONLY_MEM");
    EXPECT_EQ(worst(examine(report)), Verdict::warn);
}

TEST(HostExamine, InterpretedKernelModeIsAWarningWithTheLabAsRemedy) {
    Report report = healthy();
    report.kvm->kernel_mode = KernelModeSpeed{KernelMode::interpreted, 1.5e6};
    EXPECT_EQ(find(report, "kernel_mode").verdict, Verdict::warn);
    EXPECT_PRED2(says, find(report, "kernel_mode").text, "1.5 million instructions/s");
    EXPECT_PRED2(says, find(report, "kernel_mode").remedy, "tools/lab");
    report.kvm->kernel_mode = Found<KernelModeSpeed>::missing("KVM_RUN: broken");
    EXPECT_PRED2(says, find(report, "kernel_mode").text, "unknown: KVM_RUN: broken");
    EXPECT_EQ(worst(examine(report)), Verdict::warn);
}

TEST(HostExamine, ShadowPagingIsAWarningAndNestingNone) {
    Report report = healthy();
    report.modules = std::vector<Module>{
        {"kvm_intel", false, {{"ept", std::string("N")}, {"nested", std::string("N")}}}};
    EXPECT_EQ(find(report, "paging").verdict, Verdict::warn);
    EXPECT_PRED2(says, find(report, "paging").remedy, "modprobe kvm_intel ept=1");
    EXPECT_EQ(find(report, "nested").verdict, Verdict::note);
    EXPECT_PRED2(says, find(report, "nested").remedy, "modprobe kvm_intel nested=1");
}

TEST(HostExamine, LittleMemoryOrFewFilesAreWarnings) {
    Report report = healthy();
    report.memory = Memory{std::uint64_t(1) << 30, std::uint64_t(100) << 20};
    EXPECT_EQ(find(report, "memory").text, "only 100 MiB of memory are free");
    report.process.open_files = 64;
    EXPECT_EQ(find(report, "open_files").remedy, "ulimit -n 4096");
    report.process.open_files_hard = 64;
    EXPECT_PRED2(says, find(report, "open_files").remedy, "limits.conf");
    report = healthy();
    report.process.address_space = 1 << 20;
    EXPECT_PRED2(says, find(report, "memory").remedy, "ulimit -v");
    report.memory = Found<Memory>::missing("no /proc");
    EXPECT_EQ(find(report, "memory").verdict, Verdict::note);
}

TEST(HostExamine, UnknownModulesAreNoFaultOfAKvmThatAnswers) {
    Report report = healthy();
    report.modules = Found<std::vector<Module>>::missing("/sys/module: No such file or directory");
    EXPECT_EQ(find(report, "module").verdict, Verdict::note);
    EXPECT_EQ(worst(examine(report)), Verdict::note);
}

TEST(HostWords, NameTheBitsOfMasksAndNumberTheUnknown) {
    using Words = std::vector<std::string>;
    EXPECT_EQ(words(kvm::cap::sync_regs.number, 7), (Words{"regs", "sregs", "events"}));
    EXPECT_EQ(words(kvm::cap::vm_types.number, 1), (Words{"default_vm"}));
    EXPECT_EQ(words(kvm::cap::vm_types.number, 1 | 1 << 30), (Words{"default_vm", "1 << 30"}));
    EXPECT_EQ(words(kvm::cap::exit_hypercall.number, 1 << 12), (Words{"map_gpa_range"}));
    EXPECT_EQ(words(kvm::cap::disable_quirks2.number, static_cast<int>(1u << 31)),
              (Words{"1 << 31"}));
    EXPECT_EQ(words(kvm::cap::vm_types.number, 0), Words{});
    EXPECT_EQ(words(kvm::cap::nr_memslots.number, 509), Words{});
    EXPECT_EQ(words(9999, 1), Words{});
}

}  // namespace
}  // namespace vmm::host
