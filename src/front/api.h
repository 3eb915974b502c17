/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub's API over HTTPS: each call is passed to the hub as a typed message and its answer
 * passed back. A body is parsed here and written anew, so that the hub reads only JSON of our own
 * writing; the credential is taken out of its header. What a call means and who may make it, the
 * hub decides.
 */
#ifndef FL_FRONT_API_H
#define FL_FRONT_API_H

#include "front/link.h"
#include "front/pending.h"

struct fl_api {
    const struct fl_link *link;
    struct fl_pending *pending;
};

void fl_api_request(struct fl_api *api, struct fl_http_exchange *exchange,
                    const struct fl_http_request *request);
void fl_api_response(struct fl_api *api, const struct fl_msg_api_response *response);

/* JSON (an object or array, no duplicate members) parsed and written anew, compact. */
FL_MUST_USE enum fl_error fl_api_rewrite_json(struct fl_slice body, struct fl_buffer *out,
                                              struct fl_context *ctx);

#endif
