// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "fault_operations.hpp"

#include <kvm/throw.hpp>
#include <kvm/x86_64/sev.hpp>
#include <kvm/x86_64/tdx.hpp>

namespace kvm::test {

namespace {

std::span<std::byte> page() { return World::own_memory().first(4096); }
constexpr u8 digest[32] = {};

}  // namespace

/// w.event stands for /dev/sev: the kernel that is asked knows it by its number alone.
std::vector<Operation> sev_operations() {
    using namespace sev;
    return {
        KVMXX_ONE_CALL("KVM_SEV_INIT", init(w.vm, w.event)),
        KVMXX_ONE_CALL("KVM_SEV_ES_INIT", es_init(w.vm, w.event)),
        KVMXX_ONE_CALL("KVM_SEV_INIT2", init2(w.vm, w.event)),
        KVMXX_ONE_CALL("KVM_SEV_LAUNCH_START", launch_start(w.vm, w.event, 1)),
        KVMXX_ONE_CALL("KVM_SEV_LAUNCH_UPDATE_DATA", launch_update_data(w.vm, w.event, page())),
        KVMXX_ONE_CALL("KVM_SEV_LAUNCH_UPDATE_VMSA", launch_update_vmsa(w.vm, w.event)),
        KVMXX_ONE_CALL("KVM_SEV_LAUNCH_MEASURE", launch_measure(w.vm, w.event, page())),
        KVMXX_ONE_CALL("KVM_SEV_LAUNCH_MEASURE", launch_measure_size(w.vm, w.event)),
        KVMXX_ONE_CALL("KVM_SEV_LAUNCH_SECRET",
                       launch_secret(w.vm, w.event, page(), page(), page())),
        KVMXX_ONE_CALL("KVM_SEV_LAUNCH_FINISH", launch_finish(w.vm, w.event)),
        KVMXX_ONE_CALL("KVM_SEV_GUEST_STATUS", guest_status(w.vm, w.event)),
        KVMXX_ONE_CALL("KVM_SEV_DBG_DECRYPT", dbg_decrypt(w.vm, w.event, page(), page())),
        KVMXX_ONE_CALL("KVM_SEV_DBG_ENCRYPT", dbg_encrypt(w.vm, w.event, page(), page())),
        KVMXX_ONE_CALL("KVM_SEV_GET_ATTESTATION_REPORT",
                       attestation_report(w.vm, w.event, std::span(digest).first<16>(), page())),
        KVMXX_ONE_CALL("KVM_SEV_SEND_START", send_start(w.vm, w.event, 1, {}, page())),
        KVMXX_ONE_CALL("KVM_SEV_SEND_UPDATE_DATA",
                       send_update_data(w.vm, w.event, page(), page(), page())),
        KVMXX_ONE_CALL("KVM_SEV_SEND_UPDATE_VMSA",
                       send_update_vmsa(w.vm, w.event, page(), page(), page())),
        KVMXX_ONE_CALL("KVM_SEV_SEND_FINISH", send_finish(w.vm, w.event)),
        KVMXX_ONE_CALL("KVM_SEV_SEND_CANCEL", send_cancel(w.vm, w.event)),
        KVMXX_ONE_CALL("KVM_SEV_RECEIVE_START", receive_start(w.vm, w.event, 1, page(), page())),
        KVMXX_ONE_CALL("KVM_SEV_RECEIVE_UPDATE_DATA",
                       receive_update_data(w.vm, w.event, page(), page(), page())),
        KVMXX_ONE_CALL("KVM_SEV_RECEIVE_UPDATE_VMSA",
                       receive_update_vmsa(w.vm, w.event, page(), page(), page())),
        KVMXX_ONE_CALL("KVM_SEV_RECEIVE_FINISH", receive_finish(w.vm, w.event)),
        KVMXX_ONE_CALL("KVM_SEV_SNP_ENABLE_REQ_CERTS", snp_enable_req_certs(w.vm, w.event)),
        KVMXX_ONE_CALL("KVM_SEV_SNP_LAUNCH_START", snp_launch_start(w.vm, w.event, {})),
        KVMXX_OPERATION(snp_launch_update(w.vm, w.event, 0, page(), SnpPageType::normal),
                        {{"KVM_SEV_SNP_LAUNCH_UPDATE", {EAGAIN, EINTR}}}),
        KVMXX_ONE_CALL("KVM_SEV_SNP_LAUNCH_FINISH", snp_launch_finish(w.vm, w.event, digest)),
    };
}

std::vector<Operation> tdx_operations() {
    using namespace tdx;
    return {
        KVMXX_OPERATION(capabilities(w.vm), {{"KVM_TDX_CAPABILITIES", {E2BIG}}}),
        KVMXX_ONE_CALL("KVM_TDX_INIT_VM", init_vm(w.vm, must(InitVmList::with_capacity(1)))),
        KVMXX_ONE_CALL("KVM_TDX_INIT_VCPU", init_vcpu(w.vcpu, 0)),
        KVMXX_OPERATION(init_mem_region(w.vcpu, page(), 0_gpa, Measure::yes),
                        {{"KVM_TDX_INIT_MEM_REGION", {EAGAIN, EINTR}}}),
        KVMXX_ONE_CALL("KVM_TDX_FINALIZE_VM", finalize_vm(w.vm)),
        KVMXX_OPERATION(cpuid(w.vcpu), {{"KVM_TDX_GET_CPUID", {E2BIG}}}),
    };
}

}  // namespace kvm::test
