/* SPDX-License-Identifier: Apache-2.0
 *
 * A request against its route: queries and bodies become checked JSON objects. Whatever the table
 * of fields does not name, or names otherwise, is an error with words.
 */
#ifndef FL_HUB_API_CHECK_H
#define FL_HUB_API_CHECK_H

#include "hub/api.h"

/* `fields` NULL: nothing is taken. The caller drops `*query`. */
FL_MUST_USE enum fl_error fl_api_check_query(const struct fl_api_field *fields,
                                             struct fl_slice query, json_t **checked,
                                             struct fl_context *ctx);
/* An empty body counts as {} when nothing is required. */
FL_MUST_USE enum fl_error fl_api_check_body(const struct fl_api_field *fields, struct fl_slice body,
                                            json_t **checked, struct fl_context *ctx);
/* One object against its fields. */
FL_MUST_USE enum fl_error fl_api_check_object(const struct fl_api_field *fields,
                                              const json_t *object, struct fl_context *ctx);

#endif
