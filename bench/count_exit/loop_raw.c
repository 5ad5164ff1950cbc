/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "inline_ioctl.h"
#define LOOP loop_raw
#define CALL(fd) inline_ioctl(fd, KVM_RUN, 0)
#define ERROR(result) ((int)-(result))
#include "loop_c.h"
