/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1 responses (RFC 9112) for a client on a loop: bytes go in as they come, status, the few
 * header fields that matter and the content come out. As strict as requests are (codec/http): a
 * length that could be understood in two ways ends it. A response without a length is refused, as
 * nobody can tell whether all of it came. Pure.
 */
#ifndef FL_CODEC_HTTP_RESULT_H
#define FL_CODEC_HTTP_RESULT_H

#include "codec/http.h"

struct fl_http_result {
    bool has_head;
    int status;
    uint32_t retry_after_s; /* 0: not said, or said as a date */
    bool closes;            /* the server ends the connection after it */
    struct fl_buffer content;
    struct fl_buffer in; /* came, but is not read yet */
    struct fl_http_body body;
};

/* `content_max`: the most octets of content. */
void fl_http_result_begin(struct fl_http_result *result, size_t content_max);
void fl_http_result_free(struct fl_http_result *result);

/* FL_OK: whole; what came after it stays in `in`. FL_EMORE. FL_EPARSE, FL_ELIMIT, FL_EUNSUPPORTED
 * with words: close. Answers of 1xx are passed over. */
FL_MUST_USE enum fl_error fl_http_result_read(struct fl_http_result *result, struct fl_slice bytes,
                                              struct fl_context *ctx);

#endif
