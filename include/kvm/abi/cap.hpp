// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/cap_flags.hpp>

/// Every KVM_CAP_* of Linux 7.2, with the type of what KVM_CHECK_EXTENSION answers for it and, for
/// those that KVM_ENABLE_CAP takes, the object it goes to and its arguments.
namespace kvm {

/// A capability whose answer has type T: bool, int (a count or size), or Flags.
template <class T>
struct Cap {
    int number;
    const char* name;  // without KVM_CAP_
};

/// A capability that Vm::enable() takes, with the types of its arguments.
template <class T, class... Args>
struct VmCap : Cap<T> {};

/// A capability that Vcpu::enable() takes, with the types of its arguments.
template <class T, class... Args>
struct VcpuCap : Cap<T> {};

namespace cap {

inline constexpr Cap<bool> irqchip{0, "IRQCHIP"};
inline constexpr Cap<bool> hlt{1, "HLT"};
inline constexpr Cap<bool> mmu_shadow_cache_control{2, "MMU_SHADOW_CACHE_CONTROL"};
inline constexpr Cap<bool> user_memory{3, "USER_MEMORY"};
inline constexpr Cap<bool> set_tss_addr{4, "SET_TSS_ADDR"};
inline constexpr Cap<bool> vapic{6, "VAPIC"};
inline constexpr Cap<bool> ext_cpuid{7, "EXT_CPUID"};
inline constexpr Cap<bool> clocksource{8, "CLOCKSOURCE"};
inline constexpr Cap<int> nr_vcpus{9, "NR_VCPUS"};
inline constexpr Cap<int> nr_memslots{10, "NR_MEMSLOTS"};
inline constexpr Cap<bool> pit{11, "PIT"};
inline constexpr Cap<bool> nop_io_delay{12, "NOP_IO_DELAY"};
inline constexpr Cap<bool> pv_mmu{13, "PV_MMU"};
inline constexpr Cap<bool> mp_state{14, "MP_STATE"};
inline constexpr Cap<int> coalesced_mmio{15, "COALESCED_MMIO"};
inline constexpr Cap<bool> sync_mmu{16, "SYNC_MMU"};
inline constexpr Cap<bool> iommu{18, "IOMMU"};
inline constexpr Cap<bool> destroy_memory_region_works{21, "DESTROY_MEMORY_REGION_WORKS"};
inline constexpr Cap<bool> user_nmi{22, "USER_NMI"};
inline constexpr Cap<bool> set_guest_debug{23, "SET_GUEST_DEBUG"};
inline constexpr Cap<bool> reinject_control{24, "REINJECT_CONTROL"};
inline constexpr Cap<int> irq_routing{25, "IRQ_ROUTING"};
inline constexpr Cap<bool> irq_inject_status{26, "IRQ_INJECT_STATUS"};
inline constexpr Cap<bool> assign_dev_irq{29, "ASSIGN_DEV_IRQ"};
inline constexpr Cap<bool> join_memory_regions_works{30, "JOIN_MEMORY_REGIONS_WORKS"};
inline constexpr Cap<int> mce{31, "MCE"};
inline constexpr Cap<bool> irqfd{32, "IRQFD"};
inline constexpr Cap<bool> pit2{33, "PIT2"};
inline constexpr Cap<bool> set_boot_cpu_id{34, "SET_BOOT_CPU_ID"};
inline constexpr Cap<bool> pit_state2{35, "PIT_STATE2"};
inline constexpr Cap<bool> ioeventfd{36, "IOEVENTFD"};
inline constexpr Cap<bool> set_identity_map_addr{37, "SET_IDENTITY_MAP_ADDR"};
inline constexpr Cap<Flags<XenHvmFlag>> xen_hvm{38, "XEN_HVM"};
inline constexpr Cap<Flags<ClockFlag>> adjust_clock{39, "ADJUST_CLOCK"};
inline constexpr Cap<bool> internal_error_data{40, "INTERNAL_ERROR_DATA"};
inline constexpr Cap<bool> vcpu_events{41, "VCPU_EVENTS"};
inline constexpr Cap<bool> s390_psw{42, "S390_PSW"};
inline constexpr Cap<bool> ppc_segstate{43, "PPC_SEGSTATE"};
inline constexpr Cap<bool> hyperv{44, "HYPERV"};
inline constexpr Cap<bool> hyperv_vapic{45, "HYPERV_VAPIC"};
inline constexpr Cap<bool> hyperv_spin{46, "HYPERV_SPIN"};
inline constexpr Cap<bool> pci_segment{47, "PCI_SEGMENT"};
inline constexpr Cap<bool> ppc_paired_singles{48, "PPC_PAIRED_SINGLES"};
inline constexpr Cap<bool> intr_shadow{49, "INTR_SHADOW"};
inline constexpr Cap<bool> debugregs{50, "DEBUGREGS"};
inline constexpr Cap<bool> x86_robust_singlestep{51, "X86_ROBUST_SINGLESTEP"};
inline constexpr Cap<bool> ppc_osi{52, "PPC_OSI"};
inline constexpr Cap<bool> ppc_unset_irq{53, "PPC_UNSET_IRQ"};
inline constexpr Cap<bool> enable_cap{54, "ENABLE_CAP"};
inline constexpr Cap<bool> xsave{55, "XSAVE"};
inline constexpr Cap<bool> xcrs{56, "XCRS"};
inline constexpr Cap<bool> ppc_get_pvinfo{57, "PPC_GET_PVINFO"};
inline constexpr Cap<bool> ppc_irq_level{58, "PPC_IRQ_LEVEL"};
inline constexpr Cap<bool> async_pf{59, "ASYNC_PF"};
inline constexpr Cap<bool> tsc_control{60, "TSC_CONTROL"};
inline constexpr Cap<bool> get_tsc_khz{61, "GET_TSC_KHZ"};
inline constexpr Cap<bool> ppc_booke_sregs{62, "PPC_BOOKE_SREGS"};
inline constexpr Cap<bool> spapr_tce{63, "SPAPR_TCE"};
inline constexpr Cap<int> ppc_smt{64, "PPC_SMT"};
inline constexpr Cap<bool> ppc_rma{65, "PPC_RMA"};
inline constexpr Cap<int> max_vcpus{66, "MAX_VCPUS"};
inline constexpr Cap<bool> ppc_hior{67, "PPC_HIOR"};
inline constexpr Cap<bool> ppc_papr{68, "PPC_PAPR"};
inline constexpr Cap<bool> sw_tlb{69, "SW_TLB"};
inline constexpr Cap<bool> one_reg{70, "ONE_REG"};
inline constexpr Cap<bool> s390_gmap{71, "S390_GMAP"};
inline constexpr Cap<bool> tsc_deadline_timer{72, "TSC_DEADLINE_TIMER"};
inline constexpr Cap<bool> s390_ucontrol{73, "S390_UCONTROL"};
inline constexpr Cap<Flags<x86_64::SyncReg>> sync_regs{74, "SYNC_REGS"};
inline constexpr Cap<bool> pci_2_3{75, "PCI_2_3"};
inline constexpr Cap<bool> kvmclock_ctrl{76, "KVMCLOCK_CTRL"};
inline constexpr Cap<bool> signal_msi{77, "SIGNAL_MSI"};
inline constexpr Cap<int> ppc_get_smmu_info{78, "PPC_GET_SMMU_INFO"};
inline constexpr Cap<bool> s390_cow{79, "S390_COW"};
inline constexpr Cap<bool> ppc_alloc_htab{80, "PPC_ALLOC_HTAB"};
inline constexpr Cap<bool> readonly_mem{81, "READONLY_MEM"};
inline constexpr Cap<bool> irqfd_resample{82, "IRQFD_RESAMPLE"};
inline constexpr Cap<bool> ppc_booke_watchdog{83, "PPC_BOOKE_WATCHDOG"};
inline constexpr Cap<bool> ppc_htab_fd{84, "PPC_HTAB_FD"};
inline constexpr Cap<bool> s390_css_support{85, "S390_CSS_SUPPORT"};
inline constexpr Cap<bool> ppc_epr{86, "PPC_EPR"};
inline constexpr Cap<bool> arm_psci{87, "ARM_PSCI"};
inline constexpr Cap<bool> arm_set_device_addr{88, "ARM_SET_DEVICE_ADDR"};
inline constexpr Cap<bool> device_ctrl{89, "DEVICE_CTRL"};
inline constexpr Cap<bool> irq_mpic{90, "IRQ_MPIC"};
inline constexpr Cap<bool> ppc_rtas{91, "PPC_RTAS"};
inline constexpr Cap<bool> irq_xics{92, "IRQ_XICS"};
inline constexpr Cap<bool> arm_el1_32bit{93, "ARM_EL1_32BIT"};
inline constexpr Cap<bool> spapr_multitce{94, "SPAPR_MULTITCE"};
inline constexpr Cap<bool> ext_emul_cpuid{95, "EXT_EMUL_CPUID"};
inline constexpr Cap<bool> hyperv_time{96, "HYPERV_TIME"};
inline constexpr Cap<bool> ioapic_polarity_ignored{97, "IOAPIC_POLARITY_IGNORED"};
inline constexpr Cap<bool> enable_cap_vm{98, "ENABLE_CAP_VM"};
inline constexpr Cap<bool> s390_irqchip{99, "S390_IRQCHIP"};
inline constexpr Cap<bool> ioeventfd_no_length{100, "IOEVENTFD_NO_LENGTH"};
inline constexpr Cap<bool> vm_attributes{101, "VM_ATTRIBUTES"};
inline constexpr Cap<bool> arm_psci_0_2{102, "ARM_PSCI_0_2"};
inline constexpr Cap<bool> ppc_fixup_hcall{103, "PPC_FIXUP_HCALL"};
inline constexpr Cap<bool> ppc_enable_hcall{104, "PPC_ENABLE_HCALL"};
inline constexpr Cap<bool> check_extension_vm{105, "CHECK_EXTENSION_VM"};
inline constexpr Cap<bool> s390_user_sigp{106, "S390_USER_SIGP"};
inline constexpr Cap<bool> s390_vector_registers{107, "S390_VECTOR_REGISTERS"};
inline constexpr Cap<int> s390_mem_op{108, "S390_MEM_OP"};
inline constexpr Cap<bool> s390_user_stsi{109, "S390_USER_STSI"};
inline constexpr Cap<bool> s390_skeys{110, "S390_SKEYS"};
inline constexpr Cap<bool> mips_fpu{111, "MIPS_FPU"};
inline constexpr Cap<bool> mips_msa{112, "MIPS_MSA"};
inline constexpr Cap<bool> s390_inject_irq{113, "S390_INJECT_IRQ"};
inline constexpr Cap<bool> s390_irq_state{114, "S390_IRQ_STATE"};
inline constexpr Cap<bool> ppc_hwrng{115, "PPC_HWRNG"};
inline constexpr VmCap<bool, u64> disable_quirks{116, "DISABLE_QUIRKS"};
inline constexpr Cap<bool> x86_smm{117, "X86_SMM"};
inline constexpr Cap<int> multi_address_space{118, "MULTI_ADDRESS_SPACE"};
inline constexpr Cap<int> guest_debug_hw_bps{119, "GUEST_DEBUG_HW_BPS"};
inline constexpr Cap<int> guest_debug_hw_wps{120, "GUEST_DEBUG_HW_WPS"};
inline constexpr VmCap<bool, u32> split_irqchip{121, "SPLIT_IRQCHIP"};
inline constexpr Cap<bool> ioeventfd_any_length{122, "IOEVENTFD_ANY_LENGTH"};
inline constexpr VcpuCap<bool> hyperv_synic{123, "HYPERV_SYNIC"};
inline constexpr Cap<bool> s390_ri{124, "S390_RI"};
inline constexpr Cap<bool> spapr_tce_64{125, "SPAPR_TCE_64"};
inline constexpr Cap<bool> arm_pmu_v3{126, "ARM_PMU_V3"};
inline constexpr Cap<bool> vcpu_attributes{127, "VCPU_ATTRIBUTES"};
inline constexpr VmCap<int, u32> max_vcpu_id{128, "MAX_VCPU_ID"};
inline constexpr VmCap<Flags<X2apicApiFlag>, Flags<X2apicApiFlag>> x2apic_api{129, "X2APIC_API"};
inline constexpr Cap<bool> s390_user_instr0{130, "S390_USER_INSTR0"};
inline constexpr Cap<bool> msi_devid{131, "MSI_DEVID"};
inline constexpr Cap<bool> ppc_htm{132, "PPC_HTM"};
inline constexpr Cap<bool> spapr_resize_hpt{133, "SPAPR_RESIZE_HPT"};
inline constexpr Cap<bool> ppc_mmu_radix{134, "PPC_MMU_RADIX"};
inline constexpr Cap<bool> ppc_mmu_hash_v3{135, "PPC_MMU_HASH_V3"};
inline constexpr Cap<bool> immediate_exit{136, "IMMEDIATE_EXIT"};
inline constexpr Cap<bool> mips_vz{137, "MIPS_VZ"};
inline constexpr Cap<bool> mips_te{138, "MIPS_TE"};
inline constexpr Cap<bool> mips_64bit{139, "MIPS_64BIT"};
inline constexpr Cap<bool> s390_gs{140, "S390_GS"};
inline constexpr Cap<bool> s390_ais{141, "S390_AIS"};
inline constexpr Cap<bool> spapr_tce_vfio{142, "SPAPR_TCE_VFIO"};
inline constexpr VmCap<Flags<DisableExit>, Flags<DisableExit>> x86_disable_exits{
    143, "X86_DISABLE_EXITS"};
inline constexpr Cap<bool> arm_user_irq{144, "ARM_USER_IRQ"};
inline constexpr Cap<bool> s390_cmma_migration{145, "S390_CMMA_MIGRATION"};
inline constexpr Cap<bool> ppc_fwnmi{146, "PPC_FWNMI"};
inline constexpr Cap<u32> ppc_smt_possible{147, "PPC_SMT_POSSIBLE"};
inline constexpr VcpuCap<bool> hyperv_synic2{148, "HYPERV_SYNIC2"};
inline constexpr Cap<bool> hyperv_vp_index{149, "HYPERV_VP_INDEX"};
inline constexpr Cap<bool> s390_ais_migration{150, "S390_AIS_MIGRATION"};
inline constexpr Cap<bool> ppc_get_cpu_char{151, "PPC_GET_CPU_CHAR"};
inline constexpr Cap<bool> s390_bpb{152, "S390_BPB"};
inline constexpr Cap<bool> get_msr_features{153, "GET_MSR_FEATURES"};
inline constexpr Cap<bool> hyperv_eventfd{154, "HYPERV_EVENTFD"};
inline constexpr Cap<bool> hyperv_tlbflush{155, "HYPERV_TLBFLUSH"};
inline constexpr Cap<bool> s390_hpage_1m{156, "S390_HPAGE_1M"};
inline constexpr Cap<int> nested_state{157, "NESTED_STATE"};
inline constexpr Cap<bool> arm_inject_serror_esr{158, "ARM_INJECT_SERROR_ESR"};
inline constexpr VmCap<bool, Switch> msr_platform_info{159, "MSR_PLATFORM_INFO"};
inline constexpr Cap<bool> ppc_nested_hv{160, "PPC_NESTED_HV"};
inline constexpr Cap<bool> hyperv_send_ipi{161, "HYPERV_SEND_IPI"};
inline constexpr Cap<bool> coalesced_pio{162, "COALESCED_PIO"};
inline constexpr VcpuCap<bool, u16*> hyperv_enlightened_vmcs{163, "HYPERV_ENLIGHTENED_VMCS"};
inline constexpr VmCap<bool, Switch> exception_payload{164, "EXCEPTION_PAYLOAD"};
inline constexpr Cap<int> arm_vm_ipa_size{165, "ARM_VM_IPA_SIZE"};
inline constexpr Cap<bool> manual_dirty_log_protect{166, "MANUAL_DIRTY_LOG_PROTECT"};
inline constexpr Cap<bool> hyperv_cpuid{167, "HYPERV_CPUID"};
inline constexpr VmCap<Flags<ManualDirtyLogFlag>, Flags<ManualDirtyLogFlag>>
    manual_dirty_log_protect2{168, "MANUAL_DIRTY_LOG_PROTECT2"};
inline constexpr Cap<bool> ppc_irq_xive{169, "PPC_IRQ_XIVE"};
inline constexpr Cap<bool> arm_sve{170, "ARM_SVE"};
inline constexpr Cap<bool> arm_ptrauth_address{171, "ARM_PTRAUTH_ADDRESS"};
inline constexpr Cap<bool> arm_ptrauth_generic{172, "ARM_PTRAUTH_GENERIC"};
inline constexpr Cap<bool> pmu_event_filter{173, "PMU_EVENT_FILTER"};
inline constexpr Cap<bool> arm_irq_line_layout_2{174, "ARM_IRQ_LINE_LAYOUT_2"};
inline constexpr VcpuCap<bool> hyperv_direct_tlbflush{175, "HYPERV_DIRECT_TLBFLUSH"};
inline constexpr Cap<bool> ppc_guest_debug_sstep{176, "PPC_GUEST_DEBUG_SSTEP"};
inline constexpr VmCap<bool> arm_nisv_to_user{177, "ARM_NISV_TO_USER"};
inline constexpr Cap<bool> arm_inject_ext_dabt{178, "ARM_INJECT_EXT_DABT"};
inline constexpr Cap<bool> s390_vcpu_resets{179, "S390_VCPU_RESETS"};
inline constexpr Cap<bool> s390_protected{180, "S390_PROTECTED"};
inline constexpr Cap<bool> ppc_secure_guest{181, "PPC_SECURE_GUEST"};
inline constexpr VmCap<bool, u32> halt_poll{182, "HALT_POLL"};
inline constexpr Cap<bool> async_pf_int{183, "ASYNC_PF_INT"};
inline constexpr Cap<bool> last_cpu{184, "LAST_CPU"};
inline constexpr Cap<bool> smaller_maxphyaddr{185, "SMALLER_MAXPHYADDR"};
inline constexpr Cap<bool> s390_diag318{186, "S390_DIAG318"};
inline constexpr Cap<bool> steal_time{187, "STEAL_TIME"};
inline constexpr VmCap<bool, Flags<MsrExitReason>> x86_user_space_msr{188, "X86_USER_SPACE_MSR"};
inline constexpr Cap<bool> x86_msr_filter{189, "X86_MSR_FILTER"};
inline constexpr VcpuCap<bool, Switch> enforce_pv_feature_cpuid{190, "ENFORCE_PV_FEATURE_CPUID"};
inline constexpr Cap<bool> sys_hyperv_cpuid{191, "SYS_HYPERV_CPUID"};
inline constexpr VmCap<int, u64> dirty_log_ring{192, "DIRTY_LOG_RING"};
inline constexpr VmCap<Flags<BusLockFlag>, Flags<BusLockFlag>> x86_bus_lock_exit{
    193, "X86_BUS_LOCK_EXIT"};
inline constexpr Cap<bool> ppc_dawr1{194, "PPC_DAWR1"};
inline constexpr Cap<Flags<x86_64::GuestDebugFlag>> set_guest_debug2{195, "SET_GUEST_DEBUG2"};
inline constexpr VmCap<bool, FdNumber> sgx_attribute{196, "SGX_ATTRIBUTE"};
inline constexpr VmCap<bool, FdNumber> vm_copy_enc_context_from{197, "VM_COPY_ENC_CONTEXT_FROM"};
inline constexpr Cap<bool> ptp_kvm{198, "PTP_KVM"};
inline constexpr VcpuCap<bool, Switch> hyperv_enforce_cpuid{199, "HYPERV_ENFORCE_CPUID"};
inline constexpr Cap<bool> sregs2{200, "SREGS2"};
inline constexpr VmCap<Flags<HypercallExit>, Flags<HypercallExit>> exit_hypercall{
    201,
    "EXIT_HYPERCALL",
};
inline constexpr Cap<bool> ppc_rpt_invalidate{202, "PPC_RPT_INVALIDATE"};
inline constexpr Cap<bool> binary_stats_fd{203, "BINARY_STATS_FD"};
inline constexpr VmCap<bool, Switch> exit_on_emulation_failure{204, "EXIT_ON_EMULATION_FAILURE"};
inline constexpr VmCap<bool> arm_mte{205, "ARM_MTE"};
inline constexpr VmCap<bool, FdNumber> vm_move_enc_context_from{206, "VM_MOVE_ENC_CONTEXT_FROM"};
inline constexpr Cap<int> vm_gpa_bits{207, "VM_GPA_BITS"};
inline constexpr Cap<int> xsave2{208, "XSAVE2"};
inline constexpr Cap<bool> sys_attributes{209, "SYS_ATTRIBUTES"};
inline constexpr Cap<bool> ppc_ail_mode_3{210, "PPC_AIL_MODE_3"};
inline constexpr Cap<u32> s390_mem_op_extension{211, "S390_MEM_OP_EXTENSION"};
inline constexpr VmCap<Flags<PmuCapFlag>, Flags<PmuCapFlag>> pmu_capability{212, "PMU_CAPABILITY"};
inline constexpr VmCap<Flags<Quirk>, Flags<Quirk>> disable_quirks2{213, "DISABLE_QUIRKS2"};
inline constexpr Cap<bool> vm_tsc_control{214, "VM_TSC_CONTROL"};
inline constexpr Cap<bool> system_event_data{215, "SYSTEM_EVENT_DATA"};
inline constexpr VmCap<bool> arm_system_suspend{216, "ARM_SYSTEM_SUSPEND"};
inline constexpr Cap<bool> s390_protected_dump{217, "S390_PROTECTED_DUMP"};
inline constexpr VmCap<bool, Switch> x86_triple_fault_event{218, "X86_TRIPLE_FAULT_EVENT"};
inline constexpr VmCap<bool, NotifyVmexit> x86_notify_vmexit{219, "X86_NOTIFY_VMEXIT"};
inline constexpr VmCap<bool> vm_disable_nx_huge_pages{220, "VM_DISABLE_NX_HUGE_PAGES"};
inline constexpr Cap<bool> s390_zpci_op{221, "S390_ZPCI_OP"};
inline constexpr Cap<bool> s390_cpu_topology{222, "S390_CPU_TOPOLOGY"};
inline constexpr VmCap<int, u64> dirty_log_ring_acq_rel{223, "DIRTY_LOG_RING_ACQ_REL"};
inline constexpr Cap<bool> s390_protected_async_disable{224, "S390_PROTECTED_ASYNC_DISABLE"};
inline constexpr VmCap<bool> dirty_log_ring_with_bitmap{225, "DIRTY_LOG_RING_WITH_BITMAP"};
inline constexpr Cap<bool> pmu_event_masked_events{226, "PMU_EVENT_MASKED_EVENTS"};
inline constexpr Cap<bool> counter_offset{227, "COUNTER_OFFSET"};
inline constexpr VmCap<int, u64> arm_eager_split_chunk_size{228, "ARM_EAGER_SPLIT_CHUNK_SIZE"};
inline constexpr Cap<u32> arm_supported_block_sizes{229, "ARM_SUPPORTED_BLOCK_SIZES"};
inline constexpr Cap<u32> arm_supported_reg_mask_ranges{230, "ARM_SUPPORTED_REG_MASK_RANGES"};
inline constexpr Cap<bool> user_memory2{231, "USER_MEMORY2"};
inline constexpr Cap<bool> memory_fault_info{232, "MEMORY_FAULT_INFO"};
inline constexpr Cap<Flags<MemoryAttribute>> memory_attributes{233, "MEMORY_ATTRIBUTES"};
inline constexpr Cap<bool> guest_memfd{234, "GUEST_MEMFD"};
inline constexpr Cap<Flags<VmTypeBit>> vm_types{235, "VM_TYPES"};
inline constexpr Cap<bool> pre_fault_memory{236, "PRE_FAULT_MEMORY"};
inline constexpr VmCap<int, u64> x86_apic_bus_cycles_ns{237, "X86_APIC_BUS_CYCLES_NS"};
inline constexpr Cap<bool> x86_guest_mode{238, "X86_GUEST_MODE"};
inline constexpr VmCap<bool> arm_writable_imp_id_regs{239, "ARM_WRITABLE_IMP_ID_REGS"};
inline constexpr Cap<bool> arm_el2{240, "ARM_EL2"};
inline constexpr Cap<bool> arm_el2_e2h0{241, "ARM_EL2_E2H0"};
inline constexpr VmCap<bool> riscv_mp_state_reset{242, "RISCV_MP_STATE_RESET"};
inline constexpr Cap<bool> arm_cacheable_pfnmap_supported{243, "ARM_CACHEABLE_PFNMAP_SUPPORTED"};
inline constexpr Cap<Flags<GuestMemfdFlag>> guest_memfd_flags{244, "GUEST_MEMFD_FLAGS"};
inline constexpr VmCap<bool> arm_sea_to_user{245, "ARM_SEA_TO_USER"};
inline constexpr Cap<bool> s390_user_operexec{246, "S390_USER_OPEREXEC"};
inline constexpr Cap<bool> s390_keyop{247, "S390_KEYOP"};
inline constexpr Cap<bool> s390_vsie_esamode{248, "S390_VSIE_ESAMODE"};
inline constexpr Cap<bool> s390_hpage_2g{249, "S390_HPAGE_2G"};

/// How a capability's number is to be read.
enum class Kind : std::uint8_t { flag, count, mask };

/// A capability without its type, for lists.
struct Any {
    int number;
    const char* name;
    Kind kind;

    constexpr Any(Cap<bool> c) : number(c.number), name(c.name), kind(Kind::flag) {}
    constexpr Any(Cap<int> c) : number(c.number), name(c.name), kind(Kind::count) {}
    template <class T>
    constexpr Any(Cap<T> c) : number(c.number), name(c.name), kind(Kind::mask) {}
    template <class T, class... Args>
    constexpr Any(VmCap<T, Args...> c) : Any(static_cast<const Cap<T>&>(c)) {}
    template <class T, class... Args>
    constexpr Any(VcpuCap<T, Args...> c) : Any(static_cast<const Cap<T>&>(c)) {}
};

/// All of them, in order of number.
// clang-format off
inline constexpr Any all[] = {
    irqchip, hlt, mmu_shadow_cache_control, user_memory, set_tss_addr, vapic, ext_cpuid,
    clocksource, nr_vcpus, nr_memslots, pit, nop_io_delay, pv_mmu, mp_state, coalesced_mmio,
    sync_mmu, iommu, destroy_memory_region_works, user_nmi, set_guest_debug, reinject_control,
    irq_routing, irq_inject_status, assign_dev_irq, join_memory_regions_works, mce, irqfd, pit2,
    set_boot_cpu_id, pit_state2, ioeventfd, set_identity_map_addr, xen_hvm, adjust_clock,
    internal_error_data, vcpu_events, s390_psw, ppc_segstate, hyperv, hyperv_vapic, hyperv_spin,
    pci_segment, ppc_paired_singles, intr_shadow, debugregs, x86_robust_singlestep, ppc_osi,
    ppc_unset_irq, enable_cap, xsave, xcrs, ppc_get_pvinfo, ppc_irq_level, async_pf,
    tsc_control, get_tsc_khz, ppc_booke_sregs, spapr_tce, ppc_smt, ppc_rma, max_vcpus, ppc_hior,
    ppc_papr, sw_tlb, one_reg, s390_gmap, tsc_deadline_timer, s390_ucontrol, sync_regs, pci_2_3,
    kvmclock_ctrl, signal_msi, ppc_get_smmu_info, s390_cow, ppc_alloc_htab, readonly_mem,
    irqfd_resample, ppc_booke_watchdog, ppc_htab_fd, s390_css_support, ppc_epr, arm_psci,
    arm_set_device_addr, device_ctrl, irq_mpic, ppc_rtas, irq_xics, arm_el1_32bit,
    spapr_multitce, ext_emul_cpuid, hyperv_time, ioapic_polarity_ignored, enable_cap_vm,
    s390_irqchip, ioeventfd_no_length, vm_attributes, arm_psci_0_2, ppc_fixup_hcall,
    ppc_enable_hcall, check_extension_vm, s390_user_sigp, s390_vector_registers, s390_mem_op,
    s390_user_stsi, s390_skeys, mips_fpu, mips_msa, s390_inject_irq, s390_irq_state, ppc_hwrng,
    disable_quirks, x86_smm, multi_address_space, guest_debug_hw_bps, guest_debug_hw_wps,
    split_irqchip, ioeventfd_any_length, hyperv_synic, s390_ri, spapr_tce_64, arm_pmu_v3,
    vcpu_attributes, max_vcpu_id, x2apic_api, s390_user_instr0, msi_devid, ppc_htm,
    spapr_resize_hpt, ppc_mmu_radix, ppc_mmu_hash_v3, immediate_exit, mips_vz, mips_te,
    mips_64bit, s390_gs, s390_ais, spapr_tce_vfio, x86_disable_exits, arm_user_irq,
    s390_cmma_migration, ppc_fwnmi, ppc_smt_possible, hyperv_synic2, hyperv_vp_index,
    s390_ais_migration, ppc_get_cpu_char, s390_bpb, get_msr_features, hyperv_eventfd,
    hyperv_tlbflush, s390_hpage_1m, nested_state, arm_inject_serror_esr, msr_platform_info,
    ppc_nested_hv, hyperv_send_ipi, coalesced_pio, hyperv_enlightened_vmcs, exception_payload,
    arm_vm_ipa_size, manual_dirty_log_protect, hyperv_cpuid, manual_dirty_log_protect2,
    ppc_irq_xive, arm_sve, arm_ptrauth_address, arm_ptrauth_generic, pmu_event_filter,
    arm_irq_line_layout_2, hyperv_direct_tlbflush, ppc_guest_debug_sstep, arm_nisv_to_user,
    arm_inject_ext_dabt, s390_vcpu_resets, s390_protected, ppc_secure_guest, halt_poll,
    async_pf_int, last_cpu, smaller_maxphyaddr, s390_diag318, steal_time, x86_user_space_msr,
    x86_msr_filter, enforce_pv_feature_cpuid, sys_hyperv_cpuid, dirty_log_ring,
    x86_bus_lock_exit, ppc_dawr1, set_guest_debug2, sgx_attribute, vm_copy_enc_context_from,
    ptp_kvm, hyperv_enforce_cpuid, sregs2, exit_hypercall, ppc_rpt_invalidate, binary_stats_fd,
    exit_on_emulation_failure, arm_mte, vm_move_enc_context_from, vm_gpa_bits, xsave2,
    sys_attributes, ppc_ail_mode_3, s390_mem_op_extension, pmu_capability, disable_quirks2,
    vm_tsc_control, system_event_data, arm_system_suspend, s390_protected_dump,
    x86_triple_fault_event, x86_notify_vmexit, vm_disable_nx_huge_pages, s390_zpci_op,
    s390_cpu_topology, dirty_log_ring_acq_rel, s390_protected_async_disable,
    dirty_log_ring_with_bitmap, pmu_event_masked_events, counter_offset,
    arm_eager_split_chunk_size, arm_supported_block_sizes, arm_supported_reg_mask_ranges,
    user_memory2, memory_fault_info, memory_attributes, guest_memfd, vm_types, pre_fault_memory,
    x86_apic_bus_cycles_ns, x86_guest_mode, arm_writable_imp_id_regs, arm_el2, arm_el2_e2h0,
    riscv_mp_state_reset, arm_cacheable_pfnmap_supported, guest_memfd_flags, arm_sea_to_user,
    s390_user_operexec, s390_keyop, s390_vsie_esamode, s390_hpage_2g};
// clang-format on
static_assert(sizeof(all) / sizeof(all[0]) == 244);

}  // namespace cap

}  // namespace kvm
