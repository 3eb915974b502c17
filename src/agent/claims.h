/* SPDX-License-Identifier: Apache-2.0
 *
 * What this machine says of itself: from /etc/os-release, /proc and the running program.
 */
#ifndef FL_AGENT_CLAIMS_H
#define FL_AGENT_CLAIMS_H

#include "codec/evidence.h"

/* What cannot be found out is left empty. */
void fl_machine_read(struct fl_machine *machine);

/* The PRETTY_NAME of an os-release file; pure. False: there is none. */
bool fl_machine_os(struct fl_slice text, char os[FL_LIMIT_CLAIM + 1]);

#endif
