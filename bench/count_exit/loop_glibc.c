/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <sys/ioctl.h>
#define LOOP loop_glibc
#define CALL(fd) ioctl(fd, KVM_RUN, 0)
#define ERROR(result) errno
#include "loop_c.h"
