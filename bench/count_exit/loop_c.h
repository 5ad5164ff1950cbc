/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The loop in C, for loop_raw.c and loop_glibc.c, which say what CALL and ERROR are. */
#include "loops.h"
#include <errno.h>
#include <linux/kvm.h>

enum { exit_memory_fault = 39 }; /* newer than some installed headers */

long LOOP(const struct c_vcpu* vcpu, long exits) {
    long sum = 0;
    for (; exits > 0; --exits) {
        struct kvm_run* run = vcpu->run;
        long result = CALL(vcpu->fd);
        if (result < 0) {
            int error = ERROR(result);
            if (error == EINTR || error == EAGAIN) {
                __atomic_exchange_n(&run->immediate_exit, 0, __ATOMIC_ACQ_REL);
                run->exit_reason = KVM_EXIT_INTR;
            } else if ((error != EFAULT && error != EHWPOISON) ||
                       run->exit_reason != exit_memory_fault) {
                return -1;
            }
        }
        switch (run->exit_reason) {
            case KVM_EXIT_IO:
                if (run->io.direction != KVM_EXIT_IO_OUT || run->io.port != console_port) {
                    return -1;
                }
                sum += *((const unsigned char*)run + run->io.data_offset);
                break;
            default:
                return -1;
        }
    }
    return sum;
}
