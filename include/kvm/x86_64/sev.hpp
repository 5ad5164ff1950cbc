// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/sev.hpp>
#include <kvm/x86_64/vm.hpp>

/// AMD SEV, SEV-ES and SEV-SNP: KVM_MEMORY_ENCRYPT_OP's commands. Each takes the VM and /dev/sev,
/// opened by the caller, and buffers as spans, so that no command can name memory that is not
/// there.
///
/// Errors of all: `detail` is the firmware's own error where there is one; ENOTTY (not an SEV VM),
/// EIO (the firmware refused), EINVAL (not now, or not this kind of VM), EFAULT, EMSGSIZE (a buffer
/// of 4 GiB or more, which the kernel's structures have no room for).
namespace kvm::x86_64::sev {

/// What a command reads, and what it writes.
using Bytes = std::span<const std::byte>;
using Buffer = std::span<std::byte>;

/// KVM_SEV_INIT, KVM_SEV_ES_INIT: the old ways to start, for VMs of the default type.
Result<void> init(const VmOps& vm, FdRef sev);
Result<void> es_init(const VmOps& vm, FdRef sev);
/// KVM_SEV_INIT2: for VmType::sev_vm, sev_es_vm and snp_vm. Since 6.10.
Result<void> init2(const VmOps& vm, FdRef sev, const Init& options = {});

/// KVM_SEV_LAUNCH_START: begins to encrypt a guest by `policy`; the firmware's handle. `dh_cert`
/// and `session` are the guest owner's, or empty.
Result<u32> launch_start(const VmOps& vm, FdRef sev, u32 policy, Bytes dh_cert = {},
                         Bytes session = {});
/// KVM_SEV_LAUNCH_UPDATE_DATA: encrypts guest memory in place and measures it. 16-byte units.
Result<void> launch_update_data(const VmOps& vm, FdRef sev, Buffer memory);
/// KVM_SEV_LAUNCH_UPDATE_VMSA: the same for every vCPU's state (SEV-ES).
Result<void> launch_update_vmsa(const VmOps& vm, FdRef sev);
/// KVM_SEV_LAUNCH_MEASURE: the measurement into `into`; how long it is. Errors: EINVAL (too short;
/// launch_measure_size() says what it takes).
Result<u32> launch_measure(const VmOps& vm, FdRef sev, Buffer into);
Result<u32> launch_measure_size(const VmOps& vm, FdRef sev);
/// KVM_SEV_LAUNCH_SECRET: puts the owner's secret into guest memory.
Result<void> launch_secret(const VmOps& vm, FdRef sev, Bytes header, Buffer guest, Bytes secret);
/// KVM_SEV_LAUNCH_FINISH: the guest may run.
Result<void> launch_finish(const VmOps& vm, FdRef sev);

/// KVM_SEV_GUEST_STATUS: the firmware's handle, the policy, and how far the guest is.
Result<GuestStatus> guest_status(const VmOps& vm, FdRef sev);
/// KVM_SEV_DBG_DECRYPT, KVM_SEV_DBG_ENCRYPT: where the policy allows debugging. As long as `from`.
/// Errors: EMSGSIZE (`to` is shorter).
Result<void> dbg_decrypt(const VmOps& vm, FdRef sev, Bytes from, Buffer to);
Result<void> dbg_encrypt(const VmOps& vm, FdRef sev, Bytes from, Buffer to);
/// KVM_SEV_GET_ATTESTATION_REPORT: into `into`; how long it is. Errors: EINVAL (too short).
Result<u32> attestation_report(const VmOps& vm, FdRef sev, std::span<const u8, 16> nonce,
                               Buffer into);

/// What send_start() writes and reads: certificates of the platforms, and the session for the
/// other.
struct SendCertificates {
    Bytes pdh_cert;
    Bytes plat_certs;
    Bytes amd_certs;
};
/// KVM_SEV_SEND_START: begins to move the guest elsewhere; how long the session is. Errors: EINVAL
/// (too short).
Result<u32> send_start(const VmOps& vm, FdRef sev, u32 policy, const SendCertificates& certificates,
                       Buffer session);
/// KVM_SEV_SEND_UPDATE_DATA, KVM_SEV_SEND_UPDATE_VMSA: encrypts guest memory for transport.
Result<void> send_update_data(const VmOps& vm, FdRef sev, Buffer header, Bytes guest,
                              Buffer transport);
Result<void> send_update_vmsa(const VmOps& vm, FdRef sev, Buffer header, Bytes guest,
                              Buffer transport);
/// KVM_SEV_SEND_FINISH, KVM_SEV_SEND_CANCEL: ends the move, or gives it up.
Result<void> send_finish(const VmOps& vm, FdRef sev);
Result<void> send_cancel(const VmOps& vm, FdRef sev);

/// KVM_SEV_RECEIVE_START: begins to take in a guest; the firmware's handle.
Result<u32> receive_start(const VmOps& vm, FdRef sev, u32 policy, Bytes pdh_cert, Bytes session);
/// KVM_SEV_RECEIVE_UPDATE_DATA, KVM_SEV_RECEIVE_UPDATE_VMSA: takes in what send_update_ made.
Result<void> receive_update_data(const VmOps& vm, FdRef sev, Bytes header, Buffer guest,
                                 Bytes transport);
Result<void> receive_update_vmsa(const VmOps& vm, FdRef sev, Bytes header, Buffer guest,
                                 Bytes transport);
/// KVM_SEV_RECEIVE_FINISH: the guest may run.
Result<void> receive_finish(const VmOps& vm, FdRef sev);

/// KVM_SEV_SNP_LAUNCH_START: begins to encrypt an SNP guest. Since 6.11.
Result<void> snp_launch_start(const VmOps& vm, FdRef sev, const SnpLaunchStart& options);
/// KVM_SEV_SNP_LAUNCH_UPDATE: puts `memory`, whole pages, at the guest's page `gfn`; repeated until
/// the kernel has taken all. Since 6.11. Errors: EINVAL (alignment; the range is not private).
Result<void> snp_launch_update(const VmOps& vm, FdRef sev, u64 gfn, Bytes memory, SnpPageType type);
/// KVM_SEV_SNP_LAUNCH_FINISH: the guest may run, with the owner's identity block (96 bytes) and its
/// authentication (4096 bytes), or neither. Since 6.11. Errors: EMSGSIZE (other lengths).
Result<void> snp_launch_finish(const VmOps& vm, FdRef sev,
                               std::span<const u8, snp_finish_data_size> host_data,
                               Bytes id_block = {}, Bytes id_auth = {});

/// KVM_SEV_SNP_ENABLE_REQ_CERTS: has the guest's requests for an attestation report with
/// certificates exit as exit::SnpReqCerts. Before the vCPUs; `snp_req_certs` says whether this KVM
/// can. Since 7.0.
Result<void> snp_enable_req_certs(const VmOps& vm, FdRef sev);

/// KVM_X86_SEV_VMSA_FEATURES: what Init::vmsa_features may have, an attribute of Kvm.
inline constexpr Attr<u64> vmsa_features{1, 0, "KVM_X86_SEV_VMSA_FEATURES"};
/// KVM_X86_SNP_POLICY_BITS: what SnpLaunchStart::policy may have.
inline constexpr Attr<u64> snp_policy_bits{1, 1, "KVM_X86_SNP_POLICY_BITS"};
/// KVM_X86_SEV_SNP_REQ_CERTS: 1 if there is snp_enable_req_certs().
inline constexpr Attr<u64> snp_req_certs{1, 2, "KVM_X86_SEV_SNP_REQ_CERTS"};

}  // namespace kvm::x86_64::sev
