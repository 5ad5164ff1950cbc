// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/common.hpp>

/// AMD SEV, SEV-ES and SEV-SNP: the structures of KVM_MEMORY_ENCRYPT_OP on AMD. `*_uaddr` are host
/// addresses that the kernel reads or writes `*_len` bytes at.
namespace kvm::x86_64::sev {

/// KVM_SEV_*: the commands, but for CERT_EXPORT, which no kernel has.
enum class CmdId : u32 {
    init = 0,
    es_init = 1,
    launch_start = 2,
    launch_update_data = 3,
    launch_update_vmsa = 4,
    launch_secret = 5,
    launch_measure = 6,
    launch_finish = 7,
    send_start = 8,
    send_update_data = 9,
    send_update_vmsa = 10,
    send_finish = 11,
    receive_start = 12,
    receive_update_data = 13,
    receive_update_vmsa = 14,
    receive_finish = 15,
    guest_status = 16,
    dbg_decrypt = 17,
    dbg_encrypt = 18,
    get_attestation_report = 20,
    send_cancel = 21,
    init2 = 22,
    snp_launch_start = 100,
    snp_launch_update = 101,
    snp_launch_finish = 102,
    snp_enable_req_certs = 103,
};

struct Cmd {     // struct kvm_sev_cmd
    CmdId id;    //  0
    u32 pad0;    //  4
    u64 data;    //  8, host address of the command's own structure
    u32 error;   // 16, out: the firmware's error
    u32 sev_fd;  // 20, /dev/sev
};
static_assert(sizeof(Cmd) == 24);

struct Init {           // KVM_SEV_INIT2
    u64 vmsa_features;  //  0
    u32 flags;          //  8
    u16 ghcb_version;   // 12
    u16 pad1;           // 14
    u32 pad2[8];        // 16
};
static_assert(sizeof(Init) == 48);

struct LaunchStart {    // KVM_SEV_LAUNCH_START
    u32 handle;         //  0, in: 0 for a new one; out
    u32 policy;         //  4
    u64 dh_uaddr;       //  8
    u32 dh_len;         // 16
    u32 pad0;           // 20
    u64 session_uaddr;  // 24
    u32 session_len;    // 32
    u32 pad1;           // 36
};
static_assert(sizeof(LaunchStart) == 40);

struct Data {   // KVM_SEV_LAUNCH_UPDATE_DATA, KVM_SEV_LAUNCH_MEASURE
    u64 uaddr;  //  0
    u32 len;    //  8, LAUNCH_MEASURE: out
    u32 pad0;   // 12
};
static_assert(sizeof(Data) == 16);

struct Packet {       // KVM_SEV_LAUNCH_SECRET, KVM_SEV_SEND_UPDATE_*, KVM_SEV_RECEIVE_UPDATE_*
    u64 hdr_uaddr;    //  0
    u32 hdr_len;      //  8
    u32 pad0;         // 12
    u64 guest_uaddr;  // 16
    u32 guest_len;    // 24
    u32 pad1;         // 28
    u64 trans_uaddr;  // 32
    u32 trans_len;    // 40
    u32 pad2;         // 44
};
static_assert(sizeof(Packet) == 48);

/// GuestStatus::state, as Documentation/virt/kvm/x86/amd-memory-encryption.rst has it.
enum class GuestState : u32 {
    invalid = 0,
    launching = 1,
    secret = 2,
    running = 3,
    receiving = 4,
    sending = 5,
};

struct GuestStatus {   // KVM_SEV_GUEST_STATUS
    u32 handle;        //  0
    u32 policy;        //  4
    GuestState state;  //  8
};
static_assert(sizeof(GuestStatus) == 12);

struct Dbg {        // KVM_SEV_DBG_DECRYPT, KVM_SEV_DBG_ENCRYPT
    u64 src_uaddr;  //  0
    u64 dst_uaddr;  //  8
    u32 len;        // 16
    u32 pad0;       // 20
};
static_assert(sizeof(Dbg) == 24);

struct AttestationReport {  // KVM_SEV_GET_ATTESTATION_REPORT
    u8 mnonce[16];          //  0
    u64 uaddr;              // 16
    u32 len;                // 24, out
    u32 pad0;               // 28
};
static_assert(sizeof(AttestationReport) == 32);

struct SendStart {         // KVM_SEV_SEND_START
    u32 policy;            //  0
    u32 pad0;              //  4
    u64 pdh_cert_uaddr;    //  8
    u32 pdh_cert_len;      // 16
    u32 pad1;              // 20
    u64 plat_certs_uaddr;  // 24
    u32 plat_certs_len;    // 32
    u32 pad2;              // 36
    u64 amd_certs_uaddr;   // 40
    u32 amd_certs_len;     // 48
    u32 pad3;              // 52
    u64 session_uaddr;     // 56
    u32 session_len;       // 64
    u32 pad4;              // 68
};
static_assert(sizeof(SendStart) == 72);

struct ReceiveStart {   // KVM_SEV_RECEIVE_START
    u32 handle;         //  0
    u32 policy;         //  4
    u64 pdh_uaddr;      //  8
    u32 pdh_len;        // 16
    u32 pad0;           // 20
    u64 session_uaddr;  // 24
    u32 session_len;    // 32
    u32 pad1;           // 36
};
static_assert(sizeof(ReceiveStart) == 40);

struct SnpLaunchStart {  // KVM_SEV_SNP_LAUNCH_START
    u64 policy;          //  0
    u8 gosvw[16];        //  8
    u16 flags;           // 24
    u8 pad0[6];          // 26
    u64 pad1[4];         // 32
};
static_assert(sizeof(SnpLaunchStart) == 64);

/// KVM_SEV_SNP_PAGE_TYPE_*.
enum class SnpPageType : u8 { normal = 1, zero = 3, unmeasured = 4, secrets = 5, cpuid = 6 };

struct SnpLaunchUpdate {  // KVM_SEV_SNP_LAUNCH_UPDATE: in and out, where to go on
    u64 gfn_start;        //  0
    u64 uaddr;            //  8
    u64 len;              // 16, what is left
    SnpPageType type;     // 24
    u8 pad0;              // 25
    u16 flags;            // 26
    u32 pad1;             // 28
    u64 pad2[4];          // 32
};
static_assert(sizeof(SnpLaunchUpdate) == 64);

inline constexpr std::size_t snp_id_block_size = 96;
inline constexpr std::size_t snp_id_auth_size = 4096;
inline constexpr std::size_t snp_finish_data_size = 32;

struct SnpLaunchFinish {                 // KVM_SEV_SNP_LAUNCH_FINISH
    u64 id_block_uaddr;                  //  0
    u64 id_auth_uaddr;                   //  8
    u8 id_block_en;                      // 16
    u8 auth_key_en;                      // 17
    u8 vcek_disabled;                    // 18
    u8 host_data[snp_finish_data_size];  // 19
    u8 pad0[3];                          // 51
    u16 flags;                           // 54
    u64 pad1[4];                         // 56
};
static_assert(sizeof(SnpLaunchFinish) == 88);

}  // namespace kvm::x86_64::sev
