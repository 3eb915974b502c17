/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1 requests (RFC 9112, RFC 9110), read strictly: what two readers could understand
 * differently is refused, not repaired (bare CR or LF, folded lines, space before a colon, both
 * Content-Length and Transfer-Encoding, either of them twice, "." and ".." segments, encoded
 * slashes but under /ocsp/, NUL). Slices of a head point into its bytes. On failure `status` says
 * what to answer. Pure: no I/O, no clock, no allocation but in the caller's buffers.
 */
#ifndef FL_CODEC_HTTP_H
#define FL_CODEC_HTTP_H

#include "base/buffer.h"
#include "base/limits.h"

struct fl_http_field {
    struct fl_slice name;
    struct fl_slice value; /* without white space around it */
};

struct fl_http_head {
    size_t size; /* bytes of the head, the empty line too */
    struct fl_slice method;
    struct fl_slice path; /* decoded, into path_text */
    struct fl_slice query;
    struct fl_http_field fields[FL_LIMIT_HTTP_HEADERS];
    size_t field_count;
    uint64_t content_length; /* 0 when absent */
    unsigned minor;          /* HTTP/1.minor: 0 or 1 */
    bool chunked;
    bool keep_alive;
    bool expects_continue;
    int status; /* what to answer when reading failed */
    uint8_t path_text[FL_LIMIT_HTTP_PATH];
};

/* How far a head was looked at, so that bytes that drip in are looked at once. Zero-initialised for
 * each request. */
struct fl_http_scan {
    size_t at;
    size_t start; /* of the request line */
    size_t line;  /* start of the line that is being looked at */
    size_t lines;
};

/* `in` begins with the request and grows from call to call; its bytes may move. FL_EMORE: not whole
 * yet. FL_EPARSE, FL_ELIMIT, FL_EUNSUPPORTED: answer head->status and close. */
FL_MUST_USE enum fl_error fl_http_head_parse(struct fl_http_scan *scan, struct fl_slice in,
                                             struct fl_http_head *head, struct fl_context *ctx);

/* The value of the first field of that name, without regard to case; empty when absent. */
struct fl_slice fl_http_head_field(const struct fl_http_head *head, const char *name);

/* How many fields of that name there are. */
size_t fl_http_head_count(const struct fl_http_head *head, const char *name);
/* True if one of the fields of that name, each a list separated by commas, has this token; names
 * and tokens without regard to case. */
bool fl_http_head_lists(const struct fl_http_head *head, const char *name, const char *token);

enum fl_http_body_state {
    FL_HTTP_BODY_LENGTH,
    FL_HTTP_BODY_CHUNK_LINE,
    FL_HTTP_BODY_CHUNK,
    FL_HTTP_BODY_CHUNK_END,
    FL_HTTP_BODY_TRAILER,
    FL_HTTP_BODY_DONE,
};

struct fl_http_body {
    enum fl_http_body_state state;
    uint64_t left;  /* of the body, or of the chunk */
    size_t line;    /* bytes of the line so far */
    size_t trailer; /* bytes of all trailers so far */
    size_t digits;
    bool in_extension;
    bool after_cr;
    int status;
};

void fl_http_body_begin(struct fl_http_body *body, const struct fl_http_head *head);
/* Takes the body's bytes off the front of `in` and appends the content to `out`, whose maximum is
 * the limit (status 413). FL_OK: whole; FL_EMORE; else answer body->status and close. Trailers are
 * read and dropped. */
FL_MUST_USE enum fl_error fl_http_body_read(struct fl_http_body *body, struct fl_slice *in,
                                            struct fl_buffer *out, struct fl_context *ctx);

/* The next parameter of a query, percent-decoded ('+' is itself) and UTF-8; both buffers are
 * cleared first. FL_ENOTFOUND: no more. FL_EPARSE: a bad escape, a control character, not UTF-8. */
FL_MUST_USE enum fl_error fl_http_query_next(struct fl_slice *query, struct fl_buffer *name,
                                             struct fl_buffer *value, struct fl_context *ctx);
/* The one parameter of that name. FL_ENOTFOUND; FL_EPARSE also when it is there twice. */
FL_MUST_USE enum fl_error fl_http_query_get(struct fl_slice query, const char *name,
                                            struct fl_buffer *value, struct fl_context *ctx);

/* The credentials of an Authorization value. FL_ENOTFOUND: of another scheme or empty; FL_EPARSE.
 * Basic: `text` holds what user and password point into. */
FL_MUST_USE enum fl_error fl_http_basic(struct fl_slice authorization, struct fl_buffer *text,
                                        struct fl_slice *user, struct fl_slice *password);
FL_MUST_USE enum fl_error fl_http_bearer(struct fl_slice authorization, struct fl_slice *token);

/* True if `value`, a Content-Type, is of that media type, whatever its parameters. */
bool fl_http_media_type_is(struct fl_slice value, const char *type);

/* "Not Found"; never NULL. */
const char *fl_http_status_words(int status);

#endif
