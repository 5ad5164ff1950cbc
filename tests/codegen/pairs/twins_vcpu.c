/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "twins.h"
#include <string.h>

enum { exit_memory_fault = 39, vm_cap_xsave2 = 208, least_xsave = 4096 };

RESULT(result_exit, struct kvm_run*);
struct result_exit* twin_vcpu_run(struct result_exit* result, struct vcpu* vcpu) {
    struct kvm_run* run = vcpu->run;
    long answer = inline_ioctl(vcpu->fd, KVM_RUN, 0);
    if (unlikely(answer < 0)) {
        int error = (int)-answer;
        if (error == EINTR || error == EAGAIN) {
            __atomic_exchange_n(&run->immediate_exit, 0, __ATOMIC_ACQ_REL);
            run->exit_reason = KVM_EXIT_INTR;
        } else if ((error != EFAULT && error != EHWPOISON) ||
                   run->exit_reason != exit_memory_fault) {
            FAIL(result, "KVM_RUN", answer);
        }
    }
    SUCCEED(result, run);
}

GET(vcpu_mp_state, KVM_GET_MP_STATE, struct kvm_mp_state)
SET(vcpu_set_mp_state, KVM_SET_MP_STATE)
struct done* twin_vcpu_set_signal_mask(struct done* result, const struct vcpu* vcpu,
                                       uint64_t blocked) {
    struct {
        uint32_t len;
        uint8_t sigset[8];
    } argument = {8, {0}};
    memcpy(argument.sigset, &blocked, 8);
    return done(result, "KVM_SET_SIGNAL_MASK",
                inline_ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, (long)&argument));
}
NONE(vcpu_clear_signal_mask, KVM_SET_SIGNAL_MASK)
struct done* twin_vcpu_enable(struct done* result, const struct object* vcpu) {
    struct kvm_enable_cap cap = {.cap = KVM_CAP_HYPERV_ENFORCE_CPUID, .args = {1}};
    return done(result, "KVM_ENABLE_CAP", inline_ioctl(vcpu->fd, KVM_ENABLE_CAP, (long)&cap));
}
MADE(vcpu_enable_cap, KVM_ENABLE_CAP, ((struct kvm_enable_cap){.cap = (uint32_t)cap, .args = {a}}),
     int cap, uint64_t a)

static inline struct result_bool* has_attr(struct result_bool* result, const struct object* object,
                                           uint32_t group, uint64_t number) {
    struct kvm_device_attr attr = {.group = group, .attr = number};
    long answer = inline_ioctl(object->fd, KVM_HAS_DEVICE_ATTR, (long)&attr);
    if (answer < 0 && answer != -ENXIO) {
        FAIL(result, "KVM_HAS_DEVICE_ATTR", answer);
    }
    SUCCEED(result, answer == 0);
}
static inline struct result_u64* get_attr(struct result_u64* result, const struct object* object,
                                          uint32_t group, uint64_t number) {
    struct kvm_device_attr attr = {
        .group = group, .attr = number, .addr = (uint64_t)&result->value};
    result->value = 0;
    long answer = inline_ioctl(object->fd, KVM_GET_DEVICE_ATTR, (long)&attr);
    CHECK(result, "KVM_GET_DEVICE_ATTR", answer)
    result->ok = true;
    return result;
}
static inline struct done* set_attr(struct done* result, const struct object* object,
                                    uint32_t group, uint64_t number, const uint64_t* value) {
    struct kvm_device_attr attr = {.group = group, .attr = number, .addr = (uint64_t)value};
    return done(result, "KVM_SET_DEVICE_ATTR",
                inline_ioctl(object->fd, KVM_SET_DEVICE_ATTR, (long)&attr));
}
#define HAS_ATTR(name, group, number)                                                              \
    struct result_bool* twin_##name(struct result_bool* result, const struct object* object) {     \
        return has_attr(result, object, group, number);                                            \
    }
#define GET_ATTR(name, group, number)                                                              \
    struct result_u64* twin_##name(struct result_u64* result, const struct object* object) {       \
        return get_attr(result, object, group, number);                                            \
    }
#define SET_ATTR(name, group, number)                                                              \
    struct done* twin_##name(struct done* result, const struct object* object,                     \
                             const uint64_t* value) {                                              \
        return set_attr(result, object, group, number, value);                                     \
    }
HAS_ATTR(vcpu_has_attr, 0, 0)
GET_ATTR(vcpu_attr, 0, 0)
SET_ATTR(vcpu_set_attr, 0, 0)
HAS_ATTR(kvm_has_attr, 0, 0)
GET_ATTR(kvm_attr, 0, 0)
HAS_ATTR(device_has_attr, 1, 2)
GET_ATTR(device_attr, 1, 2)
SET_ATTR(device_set_attr, 1, 2)

struct result_u64* twin_vcpu_one_reg(struct result_u64* result, const struct object* vcpu) {
    struct kvm_one_reg reg = {0x2030000000000001, (uint64_t)&result->value};
    result->value = 0;
    long answer = inline_ioctl(vcpu->fd, KVM_GET_ONE_REG, (long)&reg);
    CHECK(result, "KVM_GET_ONE_REG", answer)
    result->ok = true;
    return result;
}
struct done* twin_vcpu_set_one_reg(struct done* result, const struct object* vcpu,
                                   const uint64_t* value) {
    struct kvm_one_reg reg = {0x2030000000000001, (uint64_t)value};
    return done(result, "KVM_SET_ONE_REG", inline_ioctl(vcpu->fd, KVM_SET_ONE_REG, (long)&reg));
}
struct kvm_run* twin_vcpu_raw(const struct vcpu* vcpu) { return vcpu->run; }

GET(vcpu_regs, KVM_GET_REGS, struct kvm_regs)
SET(vcpu_set_regs, KVM_SET_REGS)
GET(vcpu_sregs, KVM_GET_SREGS, struct kvm_sregs)
SET(vcpu_set_sregs, KVM_SET_SREGS)
GET(vcpu_sregs2, KVM_GET_SREGS2, struct kvm_sregs2)
SET(vcpu_set_sregs2, KVM_SET_SREGS2)
GET(vcpu_fpu, KVM_GET_FPU, struct kvm_fpu)
SET(vcpu_set_fpu, KVM_SET_FPU)
GET(vcpu_xsave, KVM_GET_XSAVE, struct kvm_xsave)
struct done* twin_vcpu_set_xsave(struct done* result, const struct object* vcpu,
                                 const struct object* vm, const struct kvm_xsave* xsave) {
    long size = inline_ioctl(vm->fd, KVM_CHECK_EXTENSION, vm_cap_xsave2);
    CHECK(result, "KVM_CHECK_EXTENSION", size)
    if ((int)size > least_xsave) {
        FAIL_AS(result, "KVM_SET_XSAVE", EMSGSIZE, (uint32_t)size);
    }
    return done(result, "KVM_SET_XSAVE", inline_ioctl(vcpu->fd, KVM_SET_XSAVE, (long)xsave));
}
GET(vcpu_xcrs, KVM_GET_XCRS, struct kvm_xcrs)
SET(vcpu_set_xcrs, KVM_SET_XCRS)
GET(vcpu_debugregs, KVM_GET_DEBUGREGS, struct kvm_debugregs)
SET(vcpu_set_debugregs, KVM_SET_DEBUGREGS)
GET(vcpu_lapic, KVM_GET_LAPIC, struct kvm_lapic_state)
SET(vcpu_set_lapic, KVM_SET_LAPIC)
SET_LIST(vcpu_set_cpuid2, KVM_SET_CPUID2, 0)
SET_LIST(vcpu_set_cpuid, KVM_SET_CPUID, 0)
SET_LIST(vcpu_set_nested_state, KVM_SET_NESTED_STATE, 1)
MADE(vcpu_setup_mce, KVM_X86_SETUP_MCE, capability, uint64_t capability)
SET(vcpu_set_mce, KVM_X86_SET_MCE)
RESULT(result_xen_vcpu_attr, struct kvm_xen_vcpu_attr);
struct result_xen_vcpu_attr* twin_vcpu_xen_vcpu_attr(struct result_xen_vcpu_attr* result,
                                                     const struct object* vcpu, uint16_t type) {
    result->value = (struct kvm_xen_vcpu_attr){.type = type};
    long answer = inline_ioctl(vcpu->fd, KVM_XEN_VCPU_GET_ATTR, (long)&result->value);
    CHECK(result, "KVM_XEN_VCPU_GET_ATTR", answer)
    result->ok = true;
    return result;
}
SET(vcpu_set_xen_vcpu_attr, KVM_XEN_VCPU_SET_ATTR)
GET(vcpu_vcpu_events, KVM_GET_VCPU_EVENTS, struct kvm_vcpu_events)
SET(vcpu_set_vcpu_events, KVM_SET_VCPU_EVENTS)
SET(vcpu_set_guest_debug, KVM_SET_GUEST_DEBUG)
ANSWER(vcpu_tsc_khz, result_u32, KVM_GET_TSC_KHZ, 0)
NUMBER(vcpu_set_tsc_khz, KVM_SET_TSC_KHZ, uint32_t)
RESULT(result_translation, struct kvm_translation);
struct result_translation* twin_vcpu_translate(struct result_translation* result,
                                               const struct object* vcpu, uint64_t address) {
    result->value = (struct kvm_translation){.linear_address = address};
    long answer = inline_ioctl(vcpu->fd, KVM_TRANSLATE, (long)&result->value);
    CHECK(result, "KVM_TRANSLATE", answer)
    result->ok = true;
    return result;
}
MADE(vcpu_interrupt, KVM_INTERRUPT, ((struct kvm_interrupt){vector}), uint8_t vector)
NONE(vcpu_nmi, KVM_NMI)
NONE(vcpu_smi, KVM_SMI)
MADE(vcpu_tpr_access_reporting, KVM_TPR_ACCESS_REPORTING,
     ((struct kvm_tpr_access_ctl){.enabled = (uint32_t)enabled}), uint64_t enabled)
MADE(vcpu_set_vapic_addr, KVM_SET_VAPIC_ADDR, ((struct kvm_vapic_addr){address}), uint64_t address)
NONE(vcpu_kvmclock_ctrl, KVM_KVMCLOCK_CTRL)
void* twin_vcpu_sync_regs(struct vcpu* vcpu) { return &vcpu->run->s; }
void twin_vcpu_set_sync_valid(struct vcpu* vcpu, uint64_t regs) {
    vcpu->run->kvm_valid_regs = regs;
}
void twin_vcpu_set_sync_dirty(struct vcpu* vcpu, uint64_t regs) {
    vcpu->run->kvm_dirty_regs = regs;
}

/* MSRs, any number of them, in portions on the stack; the error's detail is the one that was
 * refused. */
struct portion {
    struct kvm_msrs header;
    struct kvm_msr_entry entries[32];
};
static inline struct done* by_portions(struct done* result, int fd, const char* name, unsigned op,
                                       struct kvm_msr_entry* entries, size_t count, bool get) {
    struct portion portion;
    size_t at = 0;
    while (at < count) {
        size_t n = count - at < 32 ? count - at : 32;
        portion.header.nmsrs = (uint32_t)n;
        portion.header.pad = 0;
        memcpy(portion.entries, entries + at, n * sizeof *entries);
        long answer = inline_ioctl(fd, op, (long)&portion);
        if (answer < 0) {
            FAIL_AS(result, name, (int)-answer, (uint32_t)at);
        }
        size_t good = (size_t)answer < n ? (size_t)answer : n;
        if (get) {
            memcpy(entries + at, portion.entries, good * sizeof *entries);
        }
        at += good;
        if (good < n) {
            FAIL_AS(result, name, EINVAL, (uint32_t)at);
        }
    }
    result->ok = true;
    return result;
}
struct done* twin_vcpu_msrs(struct done* result, const struct object* vcpu, struct span entries) {
    return by_portions(result, vcpu->fd, "KVM_GET_MSRS", KVM_GET_MSRS, entries.data, entries.size,
                       true);
}
struct done* twin_kvm_msrs(struct done* result, const struct object* kvm, struct span entries) {
    return by_portions(result, kvm->fd, "KVM_GET_MSRS", KVM_GET_MSRS, entries.data, entries.size,
                       true);
}
struct done* twin_vcpu_set_msrs(struct done* result, const struct object* vcpu,
                                struct span entries) {
    return by_portions(result, vcpu->fd, "KVM_SET_MSRS", KVM_SET_MSRS, entries.data, entries.size,
                       false);
}

/* One MSR. */
struct result_u64* twin_vcpu_msr(struct result_u64* result, const struct object* vcpu,
                                 uint32_t index) {
    struct {
        struct kvm_msrs header;
        struct kvm_msr_entry entry;
    } one = {{.nmsrs = 1}, {.index = index}};
    long answer = inline_ioctl(vcpu->fd, KVM_GET_MSRS, (long)&one);
    if (answer != 1) {
        FAIL_AS(result, "KVM_GET_MSRS", answer < 0 ? (int)-answer : EINVAL, index);
    }
    SUCCEED(result, one.entry.data);
}
struct done* twin_vcpu_set_msr(struct done* result, const struct object* vcpu, uint32_t index,
                               uint64_t value) {
    struct {
        struct kvm_msrs header;
        struct kvm_msr_entry entry;
    } one = {{.nmsrs = 1}, {.index = index, .data = value}};
    long answer = inline_ioctl(vcpu->fd, KVM_SET_MSRS, (long)&one);
    if (answer != 1) {
        FAIL_AS(result, "KVM_SET_MSRS", answer < 0 ? (int)-answer : EINVAL, index);
    }
    result->ok = true;
    return result;
}

/* What twins.c calls, and nothing counts: the slots beyond the 64th. */
struct slots;
int slots_take_more(struct slots* slots, uint32_t slot);
void slots_drop_more(struct slots* slots, uint32_t slot);
int slots_take_more(struct slots* slots, uint32_t slot) { return slots && slot ? 0 : ENOMEM; }
void slots_drop_more(struct slots* slots, uint32_t slot) { (void)slots, (void)slot; }
