// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/abi/cap.hpp>
#include <optional>
#include <string>
#include <vector>

/// What a host is, to somebody who wants to run virtual machines on it: plain data, found by
/// probe() (vmm/host/probe.hpp) and judged by examine() (vmm/host/examine.hpp). What is missing
/// says why.
namespace vmm::host {

/// A value, or one line on why there is none.
template <class T>
struct Found {
    std::optional<T> value;
    std::string why;  // "" if there is a value

    Found() = default;
    Found(T found) : value(std::move(found)) {}
    static Found missing(std::string reason) {
        Found found;
        found.why = std::move(reason);
        return found;
    }

    explicit operator bool() const { return value.has_value(); }
    const T& operator*() const { return *value; }
    const T* operator->() const { return &*value; }
};

/// uname(2).
struct Kernel {
    std::string release;  // "6.1.0-18-amd64"
    std::string version;  // "#1 SMP ..."
    std::string machine;  // "x86_64"
};

/// The first CPU of /proc/cpuinfo. For people: nothing may be decided by a flag.
struct Cpu {
    std::string vendor;  // "AuthenticAMD"
    std::string model;   // "AMD EPYC Processor"
    int count = 0;
    std::vector<std::string> flags;

    bool has(const char* flag) const;
};

/// A parameter of a kernel module; its value is missing where this user may not read it.
struct Parameter {
    std::string name;
    Found<std::string> value;
};

/// kvm or one that belongs to it (kvm_intel, kvm_amd, ...), of /sys/module.
struct Module {
    std::string name;
    bool built_in = false;  // /proc/modules does not list it
    std::vector<Parameter> parameters;

    /// The parameter's value; nullptr if the module has none of that name, or it cannot be read.
    const std::string* parameter(const char* wanted) const;
};

/// The device file, and this process's standing before it.
struct DeviceFile {
    std::string path = {};
    int stat_error = 0;  // errno of stat(2); 0: the file is there, and what follows is known
    bool character_device = false;
    unsigned major_number = 0, minor_number = 0;  // of a device; KVM's are 10, 232
    unsigned mode = 0;                            // permission bits
    std::uint32_t owner = 0, group = 0;
    std::string group_name = {};    // "" where nobody named it
    bool on_nodev_mount = false;    // devices cannot be opened there
    bool kvm_group_exists = false;  // the host has a group of the name kvm
    bool in_group = false;          // this process has the file's group
    bool listed_in_group = false;   // the user is listed in it, but may not have logged in since
    int open_error = 0;             // why it cannot be used: an errno; 0: it opened, and it is KVM
    bool opened = false;            // open(2) itself went well
    std::string open_text = {};     // the error in words, "" if there is none
};

/// Who asks.
struct Process {
    std::uint32_t user = 0;        // effective user id
    std::string user_name = {};    // "" where nobody named it
    std::string container = {};    // "docker", "podman", "lxc", ...; "" if there is no sign of one
    std::uint64_t open_files = 0;  // RLIMIT_NOFILE, soft; ~0 is unlimited
    std::uint64_t open_files_hard = 0;  // RLIMIT_NOFILE, hard
    std::uint64_t address_space = 0;    // RLIMIT_AS in bytes, soft; ~0 is unlimited
};

/// /proc/meminfo, in bytes.
struct Memory {
    std::uint64_t total = 0;
    std::uint64_t available = 0;
};

/// What KVM_CHECK_EXTENSION answers.
struct Capability {
    int number = 0;
    const char* name = "";  // without KVM_CAP_
    kvm::cap::Kind kind = kvm::cap::Kind::flag;
    Found<int> system;  // of /dev/kvm
    Found<int> vm;      // of a VM: what counts, and missing where there is none to ask

    /// The VM's answer, or else the system's.
    const Found<int>& value() const { return vm ? vm : system; }
};

/// How long an exit takes: KVM_RUN, a port write in the guest, and back, in nanoseconds.
struct ExitLatency {
    int exits = 0;
    std::uint64_t min = 0;
    std::uint64_t median = 0;
};

/// How the guest's kernel mode (64-bit, privilege level 0) is executed.
enum class KernelMode { native, interpreted };

/// How fast the guest's kernel mode is, and so what executes it.
struct KernelModeSpeed {
    KernelMode mode = KernelMode::native;
    double instructions_per_second = 0;  // of a loop of two instructions, the best of several runs
};

/// /dev/kvm, opened.
struct Kvm {
    int api_version = 0;
    Found<std::size_t> vcpu_mmap_size;     // bytes
    std::vector<Capability> capabilities;  // every one of kvm::cap::all, in order of number
    Found<std::size_t> supported_cpuid, emulated_cpuid;  // entries
    Found<std::size_t> msrs, feature_msrs;               // entries of their lists
    Found<ExitLatency> exit_latency;
    Found<KernelModeSpeed> kernel_mode;
    std::string vm_error = {};  // why no VM can be made, in words; "" if one can

    /// The capability's number, 0 where the kernel does not know it or gave no answer.
    int value(int capability) const;
    template <class T>
    int value(kvm::Cap<T> capability) const {
        return value(capability.number);
    }
};

/// All of it.
struct Report {
    Kernel kernel;
    Found<Cpu> cpu;
    Found<Memory> memory;
    Process process;
    Found<std::vector<Module>> modules;
    Found<std::vector<std::string>>
        module_files;                 // what modprobe would find: "kvm", "kvm_amd", ...
    std::vector<std::string> rivals;  // other hypervisors' modules that are loaded
    bool device_registered =
        false;  // the kernel has a KVM device, whether or not a file leads there
    DeviceFile device;
    std::optional<Kvm> kvm;  // missing: device says why

    /// The module, nullptr if it is not there.
    const Module* module(const char* name) const;
    /// The module below kvm that drives the hardware: kvm_intel, kvm_amd, ...; nullptr if none is
    /// there.
    const Module* driver() const;
};

}  // namespace vmm::host
