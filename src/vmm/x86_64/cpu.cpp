// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <kvm/try.hpp>
#include <vmm/fake.hpp>
#include <vmm/x86_64/cpu.hpp>

namespace vmm::x86_64 {

namespace {

using kvm::CpuidEntry2;
using kvm::u32;

constexpr u32 bit(int n) { return u32(1) << n; }

constexpr u32 leaf1_tsc_deadline = bit(24);  // ECX

/// Which vCPU of how many.
struct Place {
    u32 id;
    u32 cpus;
    /// How many bits of an APIC id number the cores.
    u32 core_bits() const { return u32(std::bit_width(cpus - 1)); }
};

void set_bits(u32& word, int from, int count, u32 value) {
    const u32 mask = (count == 32 ? ~u32(0) : bit(count) - 1) << from;
    word = (word & ~mask) | ((value << from) & mask);
}

bool is_amd(std::span<const CpuidEntry2> leaves) {
    const auto leaf0 = std::ranges::find(leaves, 0u, &CpuidEntry2::function);
    return leaf0 != leaves.end() && (leaf0->ecx == 0x444d4163 /* cAMD */ ||
                                     leaf0->ecx == 0x656e6975 /* uine, of HygonGenuine */);
}

/// Leaves 4 (Intel) and 0x8000001d (AMD): which caches the cores share. The third level is
/// everybody's.
void edit_cache(CpuidEntry2& leaf, Place place) {
    if ((leaf.eax & 0x1f) == 0) {
        return;  // no more caches
    }
    const u32 level = (leaf.eax >> 5) & 7;
    set_bits(leaf.eax, 14, 12, level >= 3 ? place.cpus - 1 : 0);
    if (leaf.function == 4) {
        set_bits(leaf.eax, 26, 6, std::min(place.cpus, u32(64)) - 1);
    }
}

void edit(CpuidEntry2& leaf, Place place, bool amd) {
    switch (leaf.function) {
        case 1:
            set_bits(leaf.ebx, 24, 8, place.id);
            set_bits(leaf.ebx, 16, 8, std::min(std::bit_ceil(place.cpus), u32(255)));
            set_bits(leaf.ecx, 31, 1, 1);                       // a hypervisor is present
            set_bits(leaf.edx, 28, 1, place.cpus > 1 ? 1 : 0);  // EBX[23:16] is valid
            break;
        case 4:
        case 0x8000001d:
            edit_cache(leaf, place);
            break;
        case 6:
            set_bits(leaf.ecx, 3, 1, 0);  // no energy bias: KVM has no such MSR
            break;
        case 0x80000001:
            if (amd) {
                set_bits(leaf.ecx, 1, 1, place.cpus > 1 ? 1 : 0);  // CmpLegacy: cores, not threads
            }
            break;
        case 0x80000008:
            if (amd) {
                set_bits(leaf.ecx, 0, 8, std::min(place.cpus - 1, u32(255)));
                set_bits(leaf.ecx, 12, 4, place.core_bits());
            }
            break;
        case 0x8000001e:
            leaf.eax = place.id;
            leaf.ebx = place.id & 0xff;  // the core's number; one thread in each
            leaf.ecx = 0;                // node 0, the only one
            break;
        default:
            break;
    }
}

/// Leaves 0xb and 0x1f, extended topology: level 0 is the threads of a core, level 1 the cores.
void append_topology(std::vector<CpuidEntry2>& leaves, u32 function, Place place) {
    constexpr u32 threads = 1 << 8;
    constexpr u32 cores = 2 << 8;
    const u32 indexed = kvm::Flags(kvm::CpuidFlag::signifcant_index).bits();
    leaves.push_back({function, 0, indexed, 0, 1, threads | 0, place.id, {}});
    leaves.push_back(
        {function, 1, indexed, place.core_bits(), place.cpus, cores | 1, place.id, {}});
    leaves.push_back({function, 2, indexed, 0, 0, 2, place.id, {}});
}

}  // namespace

std::vector<CpuidEntry2> vcpu_cpuid(std::span<const CpuidEntry2> supported, kvm::VcpuId id,
                                    std::uint32_t cpus) {
    const Place place{static_cast<u32>(id), std::max(cpus, u32(1))};
    const bool amd = is_amd(supported);
    std::vector<CpuidEntry2> leaves;
    for (const CpuidEntry2& leaf : supported) {
        if (leaf.function == 0xb || leaf.function == 0x1f) {
            if (leaf.index == 0) {
                append_topology(leaves, leaf.function, place);
            }
            continue;
        }
        leaves.push_back(leaf);
        edit(leaves.back(), place, amd);
    }
    return leaves;
}

template <HypervisorSystem System, HypervisorVcpu Vcpu>
Result<void> setup_cpuid(const System& system, Vcpu& vcpu, kvm::VcpuId id, std::uint32_t cpus) {
    const kvm::CpuidList supported = KVM_TRY(system.supported_cpuid());
    auto leaves = vcpu_cpuid(supported, id, cpus);
    const bool tsc_deadline = KVM_TRY(system.check(kvm::cap::tsc_deadline_timer));
    for (CpuidEntry2& leaf : leaves) {
        if (leaf.function == 1 && tsc_deadline) {
            leaf.ecx |= leaf1_tsc_deadline;  // KVM_GET_SUPPORTED_CPUID never says so
        }
    }
    const kvm::CpuidList list = KVM_TRY(kvm::CpuidList::from(leaves));
    KVM_TRY(vcpu.set_cpuid2(list));
    return {};
}

template <HypervisorVcpu Vcpu>
Result<void> setup_msrs(Vcpu& vcpu) {
    constexpr u32 ia32_misc_enable = 0x1a0;
    constexpr u32 ia32_mtrr_def_type = 0x2ff;
    constexpr std::uint64_t fast_strings = 1;
    constexpr std::uint64_t enabled_write_back = bit(11) | 6;
    const std::uint64_t misc = KVM_TRY(vcpu.msr(ia32_misc_enable));
    KVM_TRY(vcpu.set_msr(ia32_misc_enable, misc | fast_strings));
    KVM_TRY(vcpu.set_msr(ia32_mtrr_def_type, enabled_write_back));
    return {};
}

template <HypervisorVcpu Vcpu>
Result<void> setup_lapic(Vcpu& vcpu) {
    constexpr std::size_t lvt_lint0 = 0x350;
    constexpr std::size_t lvt_lint1 = 0x360;
    constexpr u32 delivery_nmi = 0x400;
    constexpr u32 delivery_extint = 0x700;
    kvm::LapicState lapic = KVM_TRY(vcpu.lapic());
    const auto wire = [&](std::size_t lvt, u32 delivery) {
        u32 entry = 0;
        std::memcpy(&entry, lapic.regs + lvt, sizeof entry);
        set_bits(entry, 8, 3, delivery >> 8);
        set_bits(entry, 16, 1, 0);  // not masked
        std::memcpy(lapic.regs + lvt, &entry, sizeof entry);
    };
    wire(lvt_lint0, delivery_extint);
    wire(lvt_lint1, delivery_nmi);
    KVM_TRY(vcpu.set_lapic(lapic));
    return {};
}

template Result<void> setup_cpuid(const kvm::Kvm&, kvm::Vcpu&, kvm::VcpuId, std::uint32_t);
template Result<void> setup_cpuid(const fake::System&, fake::Vcpu&, kvm::VcpuId, std::uint32_t);
template Result<void> setup_msrs(kvm::Vcpu&);
template Result<void> setup_msrs(fake::Vcpu&);
template Result<void> setup_lapic(kvm::Vcpu&);
template Result<void> setup_lapic(fake::Vcpu&);

}  // namespace vmm::x86_64
