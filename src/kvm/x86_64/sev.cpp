// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/abi/x86_64_table.hpp>
#include <kvm/x86_64/sev.hpp>

namespace kvm::x86_64::sev {

namespace {

/// KVM_SEV_*: enum sev_cmd_id.
enum class Id : u32 {
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
};

Result<void> issue(const VmOps& vm, FdRef sev, Id id, void* data, const char* name) {
    Cmd cmd{static_cast<u32>(id), 0, reinterpret_cast<u64>(data), 0,
            static_cast<u32>(sev.number())};
    const long answer =
        kvm::detail::raw_ioctl(vm.fd(), op::x86_64::memory_encrypt_op.request, &cmd);
    return answer < 0 ? fail(name, static_cast<int>(-answer), cmd.error) : Result<void>();
}

template <class Span>
u64 address(Span span) {
    return reinterpret_cast<u64>(span.data());
}

template <class Span>
u32 length(Span span) {
    return static_cast<u32>(span.size());
}

template <class Header, class Guest, class Transport>
Result<void> packet(const VmOps& vm, FdRef sev, Id id, const char* name, Header header, Guest guest,
                    Transport transport) {
    Packet data{address(header),    length(header),    0, address(guest), length(guest), 0,
                address(transport), length(transport), 0};
    return issue(vm, sev, id, &data, name);
}

Result<void> debug(const VmOps& vm, FdRef sev, Id id, const char* name, Bytes from, Buffer to) {
    if (to.size() < from.size()) {
        return fail(name, EMSGSIZE);
    }
    Dbg data{address(from), address(to), length(from), 0};
    return issue(vm, sev, id, &data, name);
}

}  // namespace

Result<void> init(const VmOps& vm, FdRef sev) {
    return issue(vm, sev, Id::init, nullptr, "KVM_SEV_INIT");
}

Result<void> es_init(const VmOps& vm, FdRef sev) {
    return issue(vm, sev, Id::es_init, nullptr, "KVM_SEV_ES_INIT");
}

Result<void> init2(const VmOps& vm, FdRef sev, const Init& options) {
    Init data = options;
    return issue(vm, sev, Id::init2, &data, "KVM_SEV_INIT2");
}

Result<u32> launch_start(const VmOps& vm, FdRef sev, u32 policy, Bytes dh_cert, Bytes session) {
    LaunchStart data{0, policy,           address(dh_cert), length(dh_cert),
                     0, address(session), length(session),  0};
    if (auto done = issue(vm, sev, Id::launch_start, &data, "KVM_SEV_LAUNCH_START"); !done) {
        return std::unexpected(done.error());
    }
    return data.handle;
}

Result<void> launch_update_data(const VmOps& vm, FdRef sev, Buffer memory) {
    Data data{address(memory), length(memory), 0};
    return issue(vm, sev, Id::launch_update_data, &data, "KVM_SEV_LAUNCH_UPDATE_DATA");
}

Result<void> launch_update_vmsa(const VmOps& vm, FdRef sev) {
    return issue(vm, sev, Id::launch_update_vmsa, nullptr, "KVM_SEV_LAUNCH_UPDATE_VMSA");
}

Result<u32> launch_measure(const VmOps& vm, FdRef sev, Buffer into) {
    Data data{address(into), length(into), 0};
    if (auto done = issue(vm, sev, Id::launch_measure, &data, "KVM_SEV_LAUNCH_MEASURE"); !done) {
        return std::unexpected(done.error());
    }
    return data.len;
}

Result<u32> launch_measure_size(const VmOps& vm, FdRef sev) {
    Data data{};
    const auto done = issue(vm, sev, Id::launch_measure, &data, "KVM_SEV_LAUNCH_MEASURE");
    if (!done && data.len == 0) {
        return std::unexpected(done.error());
    }
    return data.len;
}

Result<void> launch_secret(const VmOps& vm, FdRef sev, Bytes header, Buffer guest, Bytes secret) {
    return packet(vm, sev, Id::launch_secret, "KVM_SEV_LAUNCH_SECRET", header, guest, secret);
}

Result<void> launch_finish(const VmOps& vm, FdRef sev) {
    return issue(vm, sev, Id::launch_finish, nullptr, "KVM_SEV_LAUNCH_FINISH");
}

Result<GuestStatus> guest_status(const VmOps& vm, FdRef sev) {
    GuestStatus data{};
    if (auto done = issue(vm, sev, Id::guest_status, &data, "KVM_SEV_GUEST_STATUS"); !done) {
        return std::unexpected(done.error());
    }
    return data;
}

Result<void> dbg_decrypt(const VmOps& vm, FdRef sev, Bytes from, Buffer to) {
    return debug(vm, sev, Id::dbg_decrypt, "KVM_SEV_DBG_DECRYPT", from, to);
}

Result<void> dbg_encrypt(const VmOps& vm, FdRef sev, Bytes from, Buffer to) {
    return debug(vm, sev, Id::dbg_encrypt, "KVM_SEV_DBG_ENCRYPT", from, to);
}

Result<u32> attestation_report(const VmOps& vm, FdRef sev, std::span<const u8, 16> nonce,
                               Buffer into) {
    AttestationReport data{{}, address(into), length(into), 0};
    __builtin_memcpy(data.mnonce, nonce.data(), sizeof data.mnonce);
    constexpr const char* name = "KVM_SEV_GET_ATTESTATION_REPORT";
    if (auto done = issue(vm, sev, Id::get_attestation_report, &data, name); !done) {
        return std::unexpected(done.error());
    }
    return data.len;
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
    if (auto done = issue(vm, sev, Id::send_start, &data, "KVM_SEV_SEND_START"); !done) {
        return std::unexpected(done.error());
    }
    return data.session_len;
}

Result<void> send_update_data(const VmOps& vm, FdRef sev, Buffer header, Bytes guest,
                              Buffer transport) {
    return packet(vm, sev, Id::send_update_data, "KVM_SEV_SEND_UPDATE_DATA", header, guest,
                  transport);
}

Result<void> send_update_vmsa(const VmOps& vm, FdRef sev, Buffer header, Bytes guest,
                              Buffer transport) {
    return packet(vm, sev, Id::send_update_vmsa, "KVM_SEV_SEND_UPDATE_VMSA", header, guest,
                  transport);
}

Result<void> send_finish(const VmOps& vm, FdRef sev) {
    return issue(vm, sev, Id::send_finish, nullptr, "KVM_SEV_SEND_FINISH");
}

Result<void> send_cancel(const VmOps& vm, FdRef sev) {
    return issue(vm, sev, Id::send_cancel, nullptr, "KVM_SEV_SEND_CANCEL");
}

Result<u32> receive_start(const VmOps& vm, FdRef sev, u32 policy, Bytes pdh_cert, Bytes session) {
    ReceiveStart data{0, policy,           address(pdh_cert), length(pdh_cert),
                      0, address(session), length(session),   0};
    if (auto done = issue(vm, sev, Id::receive_start, &data, "KVM_SEV_RECEIVE_START"); !done) {
        return std::unexpected(done.error());
    }
    return data.handle;
}

Result<void> receive_update_data(const VmOps& vm, FdRef sev, Bytes header, Buffer guest,
                                 Bytes transport) {
    return packet(vm, sev, Id::receive_update_data, "KVM_SEV_RECEIVE_UPDATE_DATA", header, guest,
                  transport);
}

Result<void> receive_update_vmsa(const VmOps& vm, FdRef sev, Bytes header, Buffer guest,
                                 Bytes transport) {
    return packet(vm, sev, Id::receive_update_vmsa, "KVM_SEV_RECEIVE_UPDATE_VMSA", header, guest,
                  transport);
}

Result<void> receive_finish(const VmOps& vm, FdRef sev) {
    return issue(vm, sev, Id::receive_finish, nullptr, "KVM_SEV_RECEIVE_FINISH");
}

Result<void> snp_launch_start(const VmOps& vm, FdRef sev, const SnpLaunchStart& options) {
    SnpLaunchStart data = options;
    return issue(vm, sev, Id::snp_launch_start, &data, "KVM_SEV_SNP_LAUNCH_START");
}

Result<void> snp_launch_update(const VmOps& vm, FdRef sev, u64 gfn, Bytes memory,
                               SnpPageType type) {
    SnpLaunchUpdate data{gfn, address(memory), memory.size(), type, 0, 0, 0, {}};
    while (data.len != 0) {
        const u64 before = data.len;
        constexpr const char* name = "KVM_SEV_SNP_LAUNCH_UPDATE";
        const auto done = issue(vm, sev, Id::snp_launch_update, &data, name);
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

Result<void> snp_launch_finish(const VmOps& vm, FdRef sev, std::span<const u8, 32> host_data,
                               Bytes id_block, Bytes id_auth) {
    constexpr const char* name = "KVM_SEV_SNP_LAUNCH_FINISH";
    const bool identity = !id_block.empty();
    if (identity ? id_block.size() != 96 || id_auth.size() != 4096 : !id_auth.empty()) {
        return fail(name, EMSGSIZE);
    }
    SnpLaunchFinish data{};
    data.id_block_uaddr = address(id_block);
    data.id_auth_uaddr = address(id_auth);
    data.id_block_en = identity;
    __builtin_memcpy(data.host_data, host_data.data(), sizeof data.host_data);
    return issue(vm, sev, Id::snp_launch_finish, &data, name);
}

}  // namespace kvm::x86_64::sev
