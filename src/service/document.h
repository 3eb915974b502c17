/* SPDX-License-Identifier: Apache-2.0
 *
 * What every service does with its store: JSON documents in and out, typed members, transactions.
 * A service verb changes documents and appends its audit record inside the transaction that its
 * caller opened, so both are kept or neither. Canonical JSON here is: members sorted by name, no
 * white space, UTF-8.
 */
#ifndef FL_SERVICE_DOCUMENT_H
#define FL_SERVICE_DOCUMENT_H

#include "base/limits.h"
#include "base/store.h"

#include <jansson.h>

FL_MUST_USE enum fl_error fl_store_begin(const struct fl_store *store, struct fl_context *ctx);
/* Commits when `error` is FL_OK, else rolls back. Returns `error` or why the commit failed. */
FL_MUST_USE enum fl_error fl_store_end(const struct fl_store *store, enum fl_error error,
                                       struct fl_context *ctx);

/* FL_ENOTFOUND; FL_EPARSE: the stored text is no JSON object. The caller drops the reference. */
FL_MUST_USE enum fl_error fl_document_get(const struct fl_store *store, enum fl_table table,
                                          struct fl_slice key, json_t **document,
                                          struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_document_put(const struct fl_store *store, enum fl_table table,
                                          struct fl_slice key, const json_t *document,
                                          struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_document_del(const struct fl_store *store, enum fl_table table,
                                          struct fl_slice key, struct fl_context *ctx);

/* From the text of a document; NULL when it is not a JSON object. */
json_t *fl_document_parse(struct fl_slice text);
FL_MUST_USE enum fl_error fl_document_text(const json_t *document, struct fl_buffer *out,
                                           struct fl_context *ctx);

/* Members of stored documents. Absent or of another type: an empty text, `otherwise`. */
void fl_document_str(const json_t *document, const char *name, char *to, size_t size);
int64_t fl_document_int(const json_t *document, const char *name, int64_t otherwise);

/* A name of a table of names ("active") as its index; `count` when it is none of them. */
size_t fl_name_index(const char *const *names, size_t count, const char *name);

/* An 8-octet big-endian key, which sorts as the number does. */
struct fl_key8 {
    uint8_t bytes[8];
};
struct fl_key8 fl_key8(uint64_t number);
static inline struct fl_slice fl_key8_slice(const struct fl_key8 *key)
{
    return fl_slice(key->bytes, sizeof key->bytes);
}

/* Who changes something, why, and when (ms since the epoch). */
struct fl_change {
    const char *who;
    const char *reason; /* may be empty */
    fl_time_t now;
};

#endif
