// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <support/guest.hpp>
#include <support/text.hpp>

namespace kvm::test {

namespace {

constexpr u64 el1h_masked = 0x3c5;

}  // namespace

std::string describe_registers(const Vcpu& vcpu) {
    const auto get = [&](RegId<u64> id) { return must(vcpu.one_reg(id)); };
    return format("pc %#lx, pstate %#lx, x0 %#lx, x1 %#lx, x9 %#lx", get(pc), get(pstate),
                  get(x(0)), get(x(1)), get(x(9)));
}

std::string describe_debug(const exit::Debug& debug) {
    return format("syndrome %#x, address %#lx", debug.arch.hsr, debug.arch.far);
}

bool is_stop(const Exit& exit) {
    return exit.visit(handlers{
        [](const exit::MmioWrite& e) { return e.address == Gpa(layout::stop); },
        [](const auto&) { return false; },
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

Guest::Guest(const Kvm& kvm, const GuestOptions& options) : GuestBase(kvm, options.type) {
    if (options.before_vcpu) {
        options.before_vcpu(vm());
    }
    set_vcpu(must(vm().create_vcpu(VcpuId(0))));
    if (options.before_init) {
        options.before_init(vcpu());
    }
    must(vcpu().init(vcpu_init(vm(), options.features)));
}

void Guest::load(Bytes code) {
    finish_last_exit();
    write(layout::code, code);
    set(pc, layout::code);
    set(pstate, el1h_masked);
}

}  // namespace kvm::test
