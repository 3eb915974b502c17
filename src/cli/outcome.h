/* SPDX-License-Identifier: Apache-2.0
 *
 * What an action did (an `outcome` of the API), told to a person: effects, what was closed and how
 * long it took, and how to undo it.
 */
#ifndef FL_CLI_OUTCOME_H
#define FL_CLI_OUTCOME_H

#include "cli/api.h"

/* POSTs `request` to `path` and prints the outcome. */
FL_MUST_USE enum fl_error fl_outcome_call(struct fl_api *api, const char *path, json_t *request,
                                          struct fl_context *ctx);

#endif
