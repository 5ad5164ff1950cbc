// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/x86_64.hpp>

/// Intel TDX: the structures of KVM_MEMORY_ENCRYPT_OP on Intel.
namespace kvm::x86_64::tdx {

/// KVM_TDX_*: the commands.
enum class CmdId : u32 {
    capabilities = 0,
    init_vm = 1,
    init_vcpu = 2,
    init_mem_region = 3,
    finalize_vm = 4,
    get_cpuid = 5,
};

struct Cmd {       // struct kvm_tdx_cmd
    CmdId id;      //  0
    u32 flags;     //  4
    u64 data;      //  8, a host address or a value
    u64 hw_error;  // 16, out: the TDX module's status
};
static_assert(sizeof(Cmd) == 24);

struct Capabilities {               // KVM_TDX_CAPABILITIES; CpuidEntry2[cpuid.nent] follows
    u64 supported_attrs;            //    0
    u64 supported_xfam;             //    8
    u64 kernel_tdvmcallinfo_1_r11;  //   16
    u64 user_tdvmcallinfo_1_r11;    //   24
    u64 kernel_tdvmcallinfo_1_r12;  //   32
    u64 user_tdvmcallinfo_1_r12;    //   40
    u64 reserved[250];              //   48
    u32 nent;                       // 2048, the head of struct kvm_cpuid2
    u32 padding;                    // 2052
};
static_assert(sizeof(Capabilities) == 2056);

struct InitVm {            // KVM_TDX_INIT_VM; CpuidEntry2[nent] follows
    u64 attributes;        //   0
    u64 xfam;              //   8
    u64 mrconfigid[6];     //  16
    u64 mrowner[6];        //  64
    u64 mrownerconfig[6];  // 112
    u64 reserved[12];      // 160
    u32 nent;              // 256
    u32 padding;           // 260
};
static_assert(sizeof(InitVm) == 264);

struct InitMemRegion {  // KVM_TDX_INIT_MEM_REGION: in and out, where to go on
    u64 source_addr;    //  0
    u64 gpa;            //  8
    u64 nr_pages;       // 16, what is left
};
static_assert(sizeof(InitMemRegion) == 24);

}  // namespace kvm::x86_64::tdx
