/* SPDX-License-Identifier: Apache-2.0
 *
 * What this machine says of itself: from /etc/os-release, /proc and the running program.
 */
#ifndef FL_AGENT_CLAIMS_H
#define FL_AGENT_CLAIMS_H

#include "codec/evidence.h"

struct fl_machine {
    char agent[FL_LIMIT_CLAIM + 1];
    char os[FL_LIMIT_CLAIM + 1];
    char kernel[FL_LIMIT_CLAIM + 1];
    char binary[65];
    char boot[FL_LIMIT_CLAIM + 1];
    uint64_t uptime_s;
};

/* What cannot be found out is left empty. */
void fl_machine_read(struct fl_machine *machine);

/* The PRETTY_NAME of an os-release file; pure. False: there is none. */
bool fl_machine_os(struct fl_slice text, char os[FL_LIMIT_CLAIM + 1]);

#endif
