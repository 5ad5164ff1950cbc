// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/abi/x86_64_table.hpp>
#include <kvm/x86_64/sev.hpp>

namespace kvm::x86_64::sev {

namespace {

template <class Span>
u64 address(Span span) {
    return reinterpret_cast<u64>(span.data());
}

/// What the kernel's structures have room for; issue() has looked that it is all.
template <class Span>
u32 length(Span span) {
    return static_cast<u32>(span.size());
}

/// Gives the command with its structure `data`, which names the memory of `spans`.
template <class... Span>
Result<void> issue(const VmOps& vm, FdRef sev, CmdId id, void* data, const char* name,
                   Span... spans) {
    if (((spans.size() > ~u32(0)) || ...)) {
        return fail(name, EMSGSIZE);
    }
    Cmd cmd{id, 0, reinterpret_cast<u64>(data), 0, static_cast<u32>(sev.number())};
    const long answer =
        kvm::detail::raw_ioctl(vm.fd(), op::x86_64::memory_encrypt_op.request, &cmd);
    return answer < 0 ? fail(name, static_cast<int>(-answer), cmd.error) : Result<void>();
}

/// The same for a command that fills in a word of its structure: a handle, or a length.
template <class Data, class... Span>
Result<u32> ask(const VmOps& vm, FdRef sev, CmdId id, Data data, u32 Data::* answer,
                const char* name, Span... spans) {
    const auto done = issue(vm, sev, id, &data, name, spans...);
    return done ? Result<u32>(data.*answer) : std::unexpected(done.error());
}

template <class Header, class Guest, class Transport>
Result<void> packet(const VmOps& vm, FdRef sev, CmdId id, const char* name, Header header,
                    Guest guest, Transport transport) {
    Packet data{address(header),    length(header),    0, address(guest), length(guest), 0,
                address(transport), length(transport), 0};
    return issue(vm, sev, id, &data, name, header, guest, transport);
}

Result<void> debug(const VmOps& vm, FdRef sev, CmdId id, const char* name, Bytes from, Buffer to) {
    if (to.size() < from.size()) {
        return fail(name, EMSGSIZE);
    }
    Dbg data{address(from), address(to), length(from), 0};
    return issue(vm, sev, id, &data, name, from);
}

}  // namespace

Result<void> init(const VmOps& vm, FdRef sev) {
    return issue(vm, sev, CmdId::init, nullptr, "KVM_SEV_INIT");
}

Result<void> es_init(const VmOps& vm, FdRef sev) {
    return issue(vm, sev, CmdId::es_init, nullptr, "KVM_SEV_ES_INIT");
}

Result<void> init2(const VmOps& vm, FdRef sev, const Init& options) {
    Init data = options;
    return issue(vm, sev, CmdId::init2, &data, "KVM_SEV_INIT2");
}

Result<u32> launch_start(const VmOps& vm, FdRef sev, u32 policy, Bytes dh_cert, Bytes session) {
    LaunchStart data{0, policy,           address(dh_cert), length(dh_cert),
                     0, address(session), length(session),  0};
    return ask(vm, sev, CmdId::launch_start, data, &LaunchStart::handle, "KVM_SEV_LAUNCH_START",
               dh_cert, session);
}

Result<void> launch_update_data(const VmOps& vm, FdRef sev, Buffer memory) {
    Data data{address(memory), length(memory), 0};
    return issue(vm, sev, CmdId::launch_update_data, &data, "KVM_SEV_LAUNCH_UPDATE_DATA", memory);
}

Result<void> launch_update_vmsa(const VmOps& vm, FdRef sev) {
    return issue(vm, sev, CmdId::launch_update_vmsa, nullptr, "KVM_SEV_LAUNCH_UPDATE_VMSA");
}

Result<u32> launch_measure(const VmOps& vm, FdRef sev, Buffer into) {
    return ask(vm, sev, CmdId::launch_measure, Data{address(into), length(into), 0}, &Data::len,
               "KVM_SEV_LAUNCH_MEASURE", into);
}

Result<u32> launch_measure_size(const VmOps& vm, FdRef sev) {
    Data data{};
    const auto done = issue(vm, sev, CmdId::launch_measure, &data, "KVM_SEV_LAUNCH_MEASURE");
    if (!done && data.len == 0) {
        return std::unexpected(done.error());
    }
    return data.len;
}

Result<void> launch_secret(const VmOps& vm, FdRef sev, Bytes header, Buffer guest, Bytes secret) {
    return packet(vm, sev, CmdId::launch_secret, "KVM_SEV_LAUNCH_SECRET", header, guest, secret);
}

Result<void> launch_finish(const VmOps& vm, FdRef sev) {
    return issue(vm, sev, CmdId::launch_finish, nullptr, "KVM_SEV_LAUNCH_FINISH");
}

Result<GuestStatus> guest_status(const VmOps& vm, FdRef sev) {
    GuestStatus data{};
    if (auto done = issue(vm, sev, CmdId::guest_status, &data, "KVM_SEV_GUEST_STATUS"); !done) {
        return std::unexpected(done.error());
    }
    return data;
}

Result<void> dbg_decrypt(const VmOps& vm, FdRef sev, Bytes from, Buffer to) {
    return debug(vm, sev, CmdId::dbg_decrypt, "KVM_SEV_DBG_DECRYPT", from, to);
}

Result<void> dbg_encrypt(const VmOps& vm, FdRef sev, Bytes from, Buffer to) {
    return debug(vm, sev, CmdId::dbg_encrypt, "KVM_SEV_DBG_ENCRYPT", from, to);
}

Result<u32> attestation_report(const VmOps& vm, FdRef sev, std::span<const u8, 16> nonce,
                               Buffer into) {
    AttestationReport data{{}, address(into), length(into), 0};
    __builtin_memcpy(data.mnonce, nonce.data(), sizeof data.mnonce);
    return ask(vm, sev, CmdId::get_attestation_report, data, &AttestationReport::len,
               "KVM_SEV_GET_ATTESTATION_REPORT", into);
}

Result<u32> send_start(const VmOps& vm, FdRef sev, u32 policy, const SendCertificates& certificates,
                       Buffer session) {
    SendStart data{};
    data.policy = policy;
    data.pdh_cert_uaddr = address(certificates.pdh_cert);
    data.pdh_cert_len = length(certificates.pdh_cert);
    data.plat_certs_uaddr = address(certificates.plat_certs);
    data.plat_certs_len = length(certificates.plat_certs);
    data.amd_certs_uaddr = address(certificates.amd_certs);
    data.amd_certs_len = length(certificates.amd_certs);
    data.session_uaddr = address(session);
    data.session_len = length(session);
    return ask(vm, sev, CmdId::send_start, data, &SendStart::session_len, "KVM_SEV_SEND_START",
               certificates.pdh_cert, certificates.plat_certs, certificates.amd_certs, session);
}

Result<void> send_update_data(const VmOps& vm, FdRef sev, Buffer header, Bytes guest,
                              Buffer transport) {
    return packet(vm, sev, CmdId::send_update_data, "KVM_SEV_SEND_UPDATE_DATA", header, guest,
                  transport);
}

Result<void> send_update_vmsa(const VmOps& vm, FdRef sev, Buffer header, Bytes guest,
                              Buffer transport) {
    return packet(vm, sev, CmdId::send_update_vmsa, "KVM_SEV_SEND_UPDATE_VMSA", header, guest,
                  transport);
}

Result<void> send_finish(const VmOps& vm, FdRef sev) {
    return issue(vm, sev, CmdId::send_finish, nullptr, "KVM_SEV_SEND_FINISH");
}

Result<void> send_cancel(const VmOps& vm, FdRef sev) {
    return issue(vm, sev, CmdId::send_cancel, nullptr, "KVM_SEV_SEND_CANCEL");
}

Result<u32> receive_start(const VmOps& vm, FdRef sev, u32 policy, Bytes pdh_cert, Bytes session) {
    ReceiveStart data{0, policy,           address(pdh_cert), length(pdh_cert),
                      0, address(session), length(session),   0};
    return ask(vm, sev, CmdId::receive_start, data, &ReceiveStart::handle, "KVM_SEV_RECEIVE_START",
               pdh_cert, session);
}

Result<void> receive_update_data(const VmOps& vm, FdRef sev, Bytes header, Buffer guest,
                                 Bytes transport) {
    return packet(vm, sev, CmdId::receive_update_data, "KVM_SEV_RECEIVE_UPDATE_DATA", header, guest,
                  transport);
}

Result<void> receive_update_vmsa(const VmOps& vm, FdRef sev, Bytes header, Buffer guest,
                                 Bytes transport) {
    return packet(vm, sev, CmdId::receive_update_vmsa, "KVM_SEV_RECEIVE_UPDATE_VMSA", header, guest,
                  transport);
}

Result<void> receive_finish(const VmOps& vm, FdRef sev) {
    return issue(vm, sev, CmdId::receive_finish, nullptr, "KVM_SEV_RECEIVE_FINISH");
}

Result<void> snp_enable_req_certs(const VmOps& vm, FdRef sev) {
    return issue(vm, sev, CmdId::snp_enable_req_certs, nullptr, "KVM_SEV_SNP_ENABLE_REQ_CERTS");
}

Result<void> snp_launch_start(const VmOps& vm, FdRef sev, const SnpLaunchStart& options) {
    SnpLaunchStart data = options;
    return issue(vm, sev, CmdId::snp_launch_start, &data, "KVM_SEV_SNP_LAUNCH_START");
}

Result<void> snp_launch_update(const VmOps& vm, FdRef sev, u64 gfn, Bytes memory,
                               SnpPageType type) {
    SnpLaunchUpdate data{gfn, address(memory), memory.size(), type, 0, 0, 0, {}};
    while (data.len != 0) {
        const u64 before = data.len;
        constexpr const char* name = "KVM_SEV_SNP_LAUNCH_UPDATE";
        const auto done = issue(vm, sev, CmdId::snp_launch_update, &data, name);
        const bool again = !done && (done.error().code == EAGAIN || done.error().code == EINTR);
        if (!done && !again) {
            return done;
        }
        if (done && data.len >= before) {
            return fail(name, EIO);  // a kernel that takes nothing would have us here for ever
        }
    }
    return {};
}

Result<void> snp_launch_finish(const VmOps& vm, FdRef sev,
                               std::span<const u8, snp_finish_data_size> host_data, Bytes id_block,
                               Bytes id_auth) {
    constexpr const char* name = "KVM_SEV_SNP_LAUNCH_FINISH";
    const bool identity = !id_block.empty();
    if (identity ? id_block.size() != snp_id_block_size || id_auth.size() != snp_id_auth_size
                 : !id_auth.empty()) {
        return fail(name, EMSGSIZE);
    }
    SnpLaunchFinish data{};
    data.id_block_uaddr = address(id_block);
    data.id_auth_uaddr = address(id_auth);
    data.id_block_en = identity;
    __builtin_memcpy(data.host_data, host_data.data(), sizeof data.host_data);
    return issue(vm, sev, CmdId::snp_launch_finish, &data, name);
}

}  // namespace kvm::x86_64::sev
