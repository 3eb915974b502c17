/* SPDX-License-Identifier: Apache-2.0
 *
 * `fairlead-agent enrol`: from a token on the command line to an enrolled folder.
 */
#ifndef FL_AGENT_ENROL_VERB_H
#define FL_AGENT_ENROL_VERB_H

#include "base/error.h"

#include <stdbool.h>

struct fl_enrol_options {
    const char *token;
    const char *dir;
    const char *key; /* "file" or "tpm:TCTI" */
    bool again;      /* may replace an identity of the same device */
    bool json;
    bool quiet;
};

/* Prints what came of it on standard output. FL_EEXISTS: enrolled already. */
FL_MUST_USE enum fl_error fl_enrol_verb(const struct fl_enrol_options *options,
                                        struct fl_context *ctx);

#endif
