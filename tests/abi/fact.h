/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#pragma once

/* A number by the kernel's name of it: "KVM_GET_REGS", "kvm_regs.rax offset", "sizeof kvm_regs". */
struct fact {
    const char* name;
    unsigned long value;
};

#ifdef __cplusplus
#include <initializer_list>
extern "C" {
/* Whether `name` is KVM_SHORT, or that with the architecture: what the identifier of an ioctl
 * promises. */
constexpr unsigned long ioctl(const char* name, const char* shortened) {
    for (const char* prefix : {"KVM_", "KVM_X86_", "KVM_ARM_"}) {
        const char* rest = name;
        while (*prefix && *rest == *prefix) {
            ++rest;
            ++prefix;
        }
        const char* want = shortened;
        while (*rest && *rest == *want) {
            ++rest;
            ++want;
        }
        if (!*prefix && *rest == *want) {
            return 1;
        }
    }
    return 0;
}
#endif

extern const struct fact facts_ours[];
extern const unsigned long facts_ours_count;
extern const struct fact facts_theirs[];
extern const unsigned long facts_theirs_count;

#ifdef __cplusplus
}
#endif
