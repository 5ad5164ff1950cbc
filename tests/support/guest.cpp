// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <stdexcept>
#include <support/guest.hpp>
#include <support/text.hpp>

namespace kvm::test {

namespace {

std::string hex(Bytes bytes) {
    std::string text;
    for (const std::byte byte : bytes.first(std::min<std::size_t>(bytes.size(), 16))) {
        text += format(" %02x", static_cast<unsigned>(byte));
    }
    return text;
}

}  // namespace

std::string describe(const Exit& exit) {
    const std::string name = std::string(kvm::name(exit.reason())) + ": ";
    return exit.visit(handlers{
        [&](const exit::IoIn& e) {
            return name + format("in from port %#x, size %u, count %u",
                                 static_cast<unsigned>(e.port), unsigned(e.size), e.count);
        },
        [&](const exit::IoOut& e) {
            return name +
                   format("out to port %#x, size %u, count %u:", static_cast<unsigned>(e.port),
                          unsigned(e.size), e.count) +
                   hex(e.data);
        },
        [&](const exit::MmioRead& e) {
            return name + format("read of %zu at %#lx", e.data.size(), e.address.value());
        },
        [&](const exit::MmioWrite& e) {
            return name + format("write of %zu at %#lx:", e.data.size(), e.address.value()) +
                   hex(e.data);
        },
        [&](const exit::Debug& e) { return name + describe_debug(e); },
        [&](const exit::FailEntry& e) {
            return name + format("reason %#lx", e.hardware_entry_failure_reason);
        },
        [&](const exit::InternalError& e) {
            return name + format("suberror %u, instruction", static_cast<u32>(e.suberror)) +
                   hex(std::as_bytes(e.insn));
        },
        [&](const exit::SystemEvent& e) {
            return name + format("type %u", static_cast<u32>(e.type));
        },
        [&](const exit::ArmNisv& e) {
            return name + format("syndrome %#lx, address %#lx", e.esr_iss, e.fault_ipa.value());
        },
        [&](const exit::Other& e) { return format("a new exit, %u", e.reason); },
        [&](const auto&) { return std::string(kvm::name(exit.reason())); },
    });
}

GuestBase::GuestBase(const Kvm& kvm, VmType type) : memory_(layout::memory_size / 4096) {
    vm_ = must(kvm.create_vm(type));
    slot_ = must(vm_->add_memory(Slot(0), 0_gpa, memory()));
}

Exit GuestBase::run(std::chrono::milliseconds limit) {
    const Watchdog watchdog(limit);
    ran_ = true;
    Exit exit = must(vcpu_->run());
    if (exit.reason() == ExitReason::intr && watchdog.expired()) {
        throw std::runtime_error(format("the guest made no exit within %ld ms: ", limit.count()) +
                                 describe_registers(*vcpu_));
    }
    return exit;
}

u64 GuestBase::run_to_write(u64 address) {
    const Exit exit = run();
    const auto write = payload<exit::MmioWrite>(exit);
    if (write.address != Gpa(address)) {
        unexpected(exit);
    }
    return number_of(write.data);
}

void GuestBase::run_to_stop() {
    const Exit exit = run();
    if (!is_stop(exit)) {
        unexpected(exit);
    }
}

void GuestBase::finish_last_exit() {
    if (ran_) {
        (void)must(vcpu_->complete_pending_io());
    }
}

std::byte* GuestBase::at(u64 address, std::size_t size) const {
    const auto memory = memory_.bytes();
    if (address > memory.size() || size > memory.size() - address) {
        throw std::out_of_range(format("%#lx is beyond the guest's memory", address));
    }
    return memory.data() + address;
}

void GuestBase::unexpected(const Exit& exit) {
    throw std::runtime_error("unexpected exit: " + describe(exit) + "; " +
                             describe_registers(*vcpu_));
}

}  // namespace kvm::test
