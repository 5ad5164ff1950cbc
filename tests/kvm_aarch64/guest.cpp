// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "guest.hpp"

#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <sys/mman.h>
#include <system_error>

namespace kvm::test {

namespace {

constexpr u64 el1h_masked = 0x3c5;

template <class... Args>
std::string format(const char* pattern, Args... args) {
    char text[256];
    std::snprintf(text, sizeof text, pattern, args...);
    return text;
}

unsigned long long number(u64 value) { return value; }

}  // namespace

std::string describe(const Exit& exit) {
    const std::string name = kvm::name(exit.reason());
    return exit.visit(handlers{
        [&](const exit::MmioRead& e) {
            return format("%s: read of %zu at %#llx", name.c_str(), e.data.size(),
                          number(e.address.value()));
        },
        [&](const exit::MmioWrite& e) {
            return format("%s: write of %zu at %#llx: %#llx", name.c_str(), e.data.size(),
                          number(e.address.value()), number(number_of(e.data)));
        },
        [&](const exit::Debug& e) {
            return format("%s: syndrome %#x, address %#llx", name.c_str(), e.arch.hsr,
                          number(e.arch.far));
        },
        [&](const exit::SystemEvent& e) {
            return format("%s: type %u", name.c_str(), static_cast<u32>(e.type));
        },
        [&](const exit::ArmNisv& e) {
            return format("%s: syndrome %#llx, address %#llx", name.c_str(), number(e.esr_iss),
                          number(e.fault_ipa.value()));
        },
        [&](const exit::Other& e) { return format("a new exit, %u", e.reason); },
        [&](const auto&) { return name; },
    });
}

VcpuInit vcpu_init(const Vm& vm, const std::vector<VcpuFeature>& features) {
    VcpuInit init = must(vm.preferred_target());
    init.set(VcpuFeature::psci_0_2);
    for (const VcpuFeature feature : features) {
        init.set(feature);
    }
    return init;
}

Guest::Guest(const Kvm& kvm, const GuestOptions& options) {
    vm_ = must(kvm.create_vm(options.type));
    void* memory = mmap(nullptr, layout::memory_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        throw std::system_error(errno, std::generic_category(), "mmap of the guest's memory");
    }
    memory_ = {static_cast<std::byte*>(memory), layout::memory_size};
    slot_ = must(vm_->add_memory(Slot(0), 0_gpa, memory_));
    if (options.before_vcpu) {
        options.before_vcpu(*vm_);
    }
    vcpu_ = must(vm_->create_vcpu(VcpuId(0)));
    if (options.before_init) {
        options.before_init(*vcpu_);
    }
    must(vcpu_->init(vcpu_init(*vm_, options.features)));
}

Guest::~Guest() {
    vcpu_.reset();
    vm_.reset();
    munmap(memory_.data(), memory_.size());
}

void Guest::load(Bytes code) {
    if (ran_) {  // the last MMIO exit's instruction is still to be counted, which moves the pc
        (void)must(vcpu_->complete_pending_io());
    }
    std::memcpy(at(layout::code, code.size()), code.data(), code.size());
    set(pc, layout::code);
    set(pstate, el1h_masked);
}

Exit Guest::run(std::chrono::milliseconds limit) {
    const Watchdog watchdog(limit);
    ran_ = true;
    Exit exit = must(vcpu_->run());
    if (exit.reason() == ExitReason::intr && watchdog.expired()) {
        throw std::runtime_error(format("the guest made no exit within %lld ms; it is at %#llx",
                                        static_cast<long long>(limit.count()), number(get(pc))));
    }
    return exit;
}

u64 Guest::run_to_write(u64 address) {
    const Exit exit = run();
    const auto write = payload<exit::MmioWrite>(exit);
    if (write.address != Gpa(address)) {
        unexpected(exit);
    }
    return number_of(write.data);
}

std::byte* Guest::at(u64 address, std::size_t size) const {
    if (address > memory_.size() || size > memory_.size() - address) {
        throw std::out_of_range(format("%#llx is beyond the guest's memory", number(address)));
    }
    return memory_.data() + address;
}

void Guest::unexpected(const Exit& exit) {
    throw std::runtime_error("unexpected exit: " + describe(exit) +
                             format("; pc %#llx, x0 %#llx, x1 %#llx, x9 %#llx", number(get(pc)),
                                    number(get(x(0))), number(get(x(1))), number(get(x(9)))));
}

}  // namespace kvm::test
