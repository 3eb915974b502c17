/* SPDX-License-Identifier: Apache-2.0
 *
 * The one result convention. A function that can fail returns `enum fl_error`; FL_OK is 0. Details
 * for a person go into a caller-owned `struct fl_context` (may be NULL): what was wrong, where,
 * what to do. Contexts are prefixed on the way up, so the text reads from the outside in: "profile:
 * camera.profile:12:5: unknown field 'topik' (did you mean 'topic'?)".
 */
#ifndef FL_BASE_ERROR_H
#define FL_BASE_ERROR_H

#include <stdarg.h>
#include <stddef.h>

/* name, value, words. The values travel between processes: append only. */
#define FL_ERRORS(X)                                                                               \
    X(FL_OK, 0, "ok")                                                                              \
    X(FL_EINVAL, 1, "invalid argument")                                                            \
    X(FL_EPARSE, 2, "malformed input")                                                             \
    X(FL_EMORE, 3, "more bytes are needed")                                                        \
    X(FL_ELIMIT, 4, "over a limit")                                                                \
    X(FL_ENOTFOUND, 5, "not found")                                                                \
    X(FL_EEXISTS, 6, "already exists")                                                             \
    X(FL_ESTATE, 7, "not possible in this state")                                                  \
    X(FL_EDENIED, 8, "not permitted")                                                              \
    X(FL_EAUTH, 9, "authentication failed")                                                        \
    X(FL_EEXPIRED, 10, "expired")                                                                  \
    X(FL_ENOMEM, 11, "out of memory")                                                              \
    X(FL_EIO, 12, "input/output error")                                                            \
    X(FL_EFULL, 13, "out of space")                                                                \
    X(FL_ECRYPTO, 14, "cryptographic operation failed")                                            \
    X(FL_ECLOSED, 15, "closed by the other side")                                                  \
    X(FL_ETIMEOUT, 16, "timed out")                                                                \
    X(FL_EBUSY, 17, "busy")                                                                        \
    X(FL_EUNSUPPORTED, 18, "not supported")

enum fl_error {
#define FL_ERROR_ENUM(name, value, words) name = (value),
    FL_ERRORS(FL_ERROR_ENUM)
#undef FL_ERROR_ENUM
};

#define FL_MUST_USE __attribute__((warn_unused_result))
#define FL_PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))

struct fl_context {
    char text[512]; /* UTF-8, always terminated; empty when nothing failed */
};

/* The words for an error; never NULL, also for a value not in the table. */
const char *fl_error_words(enum fl_error error);

/* Writes the text into `ctx` (NULL: nowhere) and returns `error`, so that one can `return
 * fl_fail(...)`. */
enum fl_error fl_fail(struct fl_context *ctx, enum fl_error error, const char *format, ...)
    FL_PRINTF(3, 4);

/* Puts "prefix: " before the text that is there and returns `error`. Nothing happens on FL_OK. */
enum fl_error fl_fail_in(struct fl_context *ctx, enum fl_error error, const char *format, ...)
    FL_PRINTF(3, 4);

#endif
