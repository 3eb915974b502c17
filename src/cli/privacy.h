/* SPDX-License-Identifier: Apache-2.0
 *
 * What the verbs of `privacy` share with `device show`.
 */
#ifndef FL_CLI_PRIVACY_H
#define FL_CLI_PRIVACY_H

#include "cli/api.h"

/* Lines of "name  value" for an answer of /devices/ID/privacy: what is kept how long, the key, what
 * was erased. */
void fl_privacy_lines(struct fl_buffer *out, const json_t *privacy);

#endif
