/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Stops, again at each run. Exits: MmioWrite to layout::stop. */
#include "guest.inc"

GUEST stop
1:  STOP
    b       1b
END_GUEST
