// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/abi/common.hpp>
#include <kvm/types.hpp>
#include <vector>
#include <vmm/memory/guest_memory.hpp>

/// Where things are in an x86_64 guest's physical memory: the one place that says so.
namespace vmm::x86_64 {

namespace layout {

using kvm::Gpa;

// Below 1 MiB: what the loader leaves for the guest's first instructions. The guest takes it all
// over.
inline constexpr Gpa gdt{0x500};           // five descriptors
inline constexpr Gpa zero_page{0x7000};    // Linux's boot_params, one page
inline constexpr Gpa boot_stack{0x8ff0};   // grows down, to 0x8000
inline constexpr Gpa page_tables{0x9000};  // PML4, PDPT, four page directories: 0x9000..0xefff
inline constexpr std::uint64_t page_tables_size = 6 * 0x1000;
inline constexpr Gpa boot_info{0x10000};  // what PVH and Multiboot tell a kernel, below 0x20000
inline constexpr std::uint64_t boot_info_room = 0x10000;
inline constexpr Gpa command_line{0x20000};  // as long as the kernel allows, below 0x30000
inline constexpr std::uint64_t command_line_room = 0x10000;
inline constexpr Gpa setup_data{0x30000};  // Linux's, below 0x40000
inline constexpr std::uint64_t setup_data_room = 0x10000;
inline constexpr Gpa low_ram_end{0x9fc00};  // then the EBDA, video memory, ROMs, the ACPI RSDP
inline constexpr Gpa acpi{0xe0000};         // the RSDP, where a guest looks for it, and the tables
inline constexpr std::uint64_t acpi_room = 0x1fff0;
inline constexpr Gpa reset_vector{0xffff0};  // F000:FFF0, where a BIOS begins
inline constexpr Gpa high_ram{0x100000};     // 1 MiB: RAM for kernels

// Below 4 GiB: no RAM from here on, but room for devices.
inline constexpr Gpa hole{0xc0000000};
inline constexpr Gpa hole_end{0x100000000};
inline constexpr Gpa virtio_mmio{0xd0000000};  // a page for each device
inline constexpr std::uint64_t virtio_mmio_step = 0x1000;
inline constexpr Gpa pci_config{0xe0000000};  // of bus 0
inline constexpr Gpa pci_memory{0xe1000000};  // where PCI devices may be, below 4 GiB
inline constexpr std::uint64_t pci_memory_size = 0x0f000000;
inline constexpr std::uint64_t pci_memory64_size = 0x40000000;  // above RAM: pci_memory64()
inline constexpr Gpa slow_memory{0xff000000};                   // of the test devices
inline constexpr Gpa ioapic{0xfec00000};
inline constexpr Gpa lapic{0xfee00000};
inline constexpr Gpa identity_map{0xfffbc000};  // one page: KVM_SET_IDENTITY_MAP_ADDR
inline constexpr Gpa tss{0xfffbd000};           // three pages: KVM_SET_TSS_ADDR

/// How much the loader's page tables map, one to one, from 0.
inline constexpr std::uint64_t identity_mapped = std::uint64_t(4) << 30;

}  // namespace layout

/// `bytes` of RAM from 0 up, with the hole below 4 GiB left out: what GuestMemory::create() wants.
/// Of a file they have the parts that follow each other.
std::vector<Region> ram_regions(std::uint64_t bytes, const Backing& backing = {});

/// Where PCI devices may be above 4 GiB, of layout::pci_memory64_size bytes: beyond `bytes` of RAM
/// and what may be added to it, a multiple of 64 GiB.
kvm::Gpa pci_memory64(std::uint64_t bytes);

/// What KVM_CREATE_IRQCHIP routes the 24 GSIs of the PICs and the I/O APIC to: what is to stay in
/// KVM_SET_GSI_ROUTING's table.
std::vector<kvm::IrqRoutingEntry> pin_routes();

}  // namespace vmm::x86_64
