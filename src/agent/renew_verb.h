/* SPDX-License-Identifier: Apache-2.0
 *
 * `fairlead-agent renew`: the certificate is renewed now, by the agent that is running in the
 * folder or, when there is none, by this process.
 */
#ifndef FL_AGENT_RENEW_VERB_H
#define FL_AGENT_RENEW_VERB_H

#include "base/error.h"

#include <stdbool.h>

/* Prints what came of it on standard output, unless `quiet`. FL_ETIMEOUT: the running agent has not
 * done it within a minute; its log says why. */
FL_MUST_USE enum fl_error fl_renew_verb(const char *dir, bool quiet, struct fl_context *ctx);

#endif
