// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "fault_kernel.hpp"

#include <algorithm>
#include <cstring>
#include <kvm/abi/sev.hpp>
#include <kvm/abi/tdx.hpp>
#include <sys/mman.h>

namespace kvm::test {

namespace {

FakeKernel* the_kernel = nullptr;

/// What a statistics descriptor reads: one value, called "exits".
struct StatsFile {
    StatsHeader header{0, 8, 1, 24, 32, 64};
    char id[8] = "kvm-1";
    StatsDescHeader desc{0, 0, 1, 0, 0};
    char name[8] = "exits";
    u64 pad = 0;
    u64 value = 42;
};

long read_stats(const FakeKernel::Call& call) {
    static const StatsFile file;
    const long offset = call.args[3], size = static_cast<long>(sizeof file);
    const long bytes = std::min(call.args[2], size - std::min(offset, size));
    std::memcpy(reinterpret_cast<void*>(call.args[1]),
                reinterpret_cast<const char*>(&file) + offset, static_cast<std::size_t>(bytes));
    return bytes;
}

/// Those commands of encrypted guests that the library repeats until nothing is left.
void encrypt(const FakeKernel::Call& call) {
    const auto& sev = argument<x86_64::sev::Cmd>(call);
    const auto& tdx = argument<x86_64::tdx::Cmd>(call);
    if (sev.sev_fd == 0) {
        if (tdx.id == x86_64::tdx::CmdId::init_mem_region) {
            reinterpret_cast<x86_64::tdx::InitMemRegion*>(tdx.data)->nr_pages = 0;
        }
    } else if (sev.id == x86_64::sev::CmdId::snp_launch_update) {
        reinterpret_cast<x86_64::sev::SnpLaunchUpdate*>(sev.data)->len = 0;
    }
}

}  // namespace

FakeKernel::FakeKernel() { the_kernel = this; }
FakeKernel::~FakeKernel() { the_kernel = nullptr; }

bool FakeKernel::answer(long nr, const long (&args)[6], long& result) {
    using namespace arch;
    if (nr == nr_gettid || nr == nr_getpid || nr == nr_tgkill) {
        return false;  // Kick's, for which the real kernel does
    }
    if (nr == nr_close || nr == nr_munmap) {
        nr == nr_close ? close(static_cast<int>(args[0])) : unmap(args[0], args[1]);
        result = 0;
        return true;
    }
    Call call{nr, nr == nr_ioctl ? static_cast<u32>(args[1]) : 0, {}};
    std::copy_n(args, 6, call.args);
    calls_.push_back(call);
    if (calls_.size() - 1 == fail_at_) {
        fail_at_ = ~std::size_t(0);
        result = -error_;
    } else if (!instead || !instead(call, result)) {
        result = succeed(call);
    }
    return true;
}

long FakeKernel::succeed(const Call& call) {
    using namespace arch;
    switch (call.nr) {
        case nr_openat:
        case nr_eventfd2:
        case nr_fcntl:
            return open();
        case nr_mmap:
            return map(call.args[1]);
        case nr_read:
            argument<u64>({0, 0, {0, 0, call.args[1]}}) = 1;
            return 8;
        case nr_write:
            return 8;
        case nr_pread64:
            return read_stats(call);
        case nr_rt_sigprocmask:  // whether a page is there, with a command that is none
            return is_last_page(call.args[1]) ? -EFAULT : -EINVAL;
        case nr_ioctl:
            return succeed_ioctl(call);
        default:
            return 0;
    }
}

long FakeKernel::succeed_ioctl(const Call& call) {
    const auto is = [&](const auto& op) { return call.request == op.request; };
    if (is(op::get_api_version)) {
        return 12;
    }
    if (is(op::get_vcpu_mmap_size)) {
        return 3 * 4096;
    }
    if (is(op::create_vm) || is(op::create_vcpu) || is(op::get_stats_fd) ||
        is(op::create_guest_memfd)) {
        return open();
    }
    if (is(op::create_device)) {
        auto& device = argument<CreateDevice>(call);
        device.fd = device.flags & 1 ? 0 : static_cast<u32>(open());
        return 0;
    }
    if (is(op::x86_64::get_msrs) || is(op::x86_64::set_msrs)) {
        return argument<Msrs>(call).nmsrs;
    }
    if (is(op::x86_64::get_cpuid2)) {
        argument<Cpuid2>(call).nent = 3;
        return 0;
    }
    if (is(op::x86_64::memory_encrypt_op)) {
        encrypt(call);
        return 0;
    }
    if (is(op::pre_fault_memory)) {
        argument<PreFaultMemory>(call).size = 0;
        return 0;
    }
    return is(op::check_extension) || is(op::signal_msi) ? 1 : 0;
}

long FakeKernel::open() {
    account_.open.insert(next_fd_);
    return next_fd_++;
}

long FakeKernel::map(long size) {
    void* memory = ::mmap(nullptr, static_cast<std::size_t>(size), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const long address = reinterpret_cast<long>(memory);
    account_.mapped[address] = size;
    return address;
}

bool FakeKernel::is_last_page(long address) const {
    return std::ranges::any_of(account_.mapped, [&](const auto& mapping) {
        return address == mapping.first + mapping.second - 4096;
    });
}

void FakeKernel::close(int fd) {
    if (account_.open.erase(fd) == 0) {
        mistakes_.push_back("close of descriptor " + std::to_string(fd) + ", which is not open");
    }
}

void FakeKernel::unmap(long address, long size) {
    const auto found = account_.mapped.find(address);
    if (found == account_.mapped.end() || found->second != size) {
        mistakes_.push_back("munmap of " + std::to_string(size) + " bytes that are not mapped so");
        return;
    }
    ::munmap(reinterpret_cast<void*>(address), static_cast<std::size_t>(size));
    account_.mapped.erase(found);
}

}  // namespace kvm::test

extern "C" bool kvmxx_syscall_hook(long nr, const long (&args)[6], long& result) {
    return kvm::test::the_kernel && kvm::test::the_kernel->answer(nr, args, result);
}
