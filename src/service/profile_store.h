/* SPDX-License-Identifier: Apache-2.0
 *
 * The signed profiles that a hub knows. A profile comes in only with a good signature and a version
 * higher than the one before; the one before is kept as superseded. Kept is the signed text, byte
 * for byte, so that its signature can be checked again by anyone. Verbs that write run in the
 * caller's transaction.
 */
#ifndef FL_SERVICE_PROFILE_STORE_H
#define FL_SERVICE_PROFILE_STORE_H

#include "service/document.h"
#include "trust/profile_sign.h"

struct fl_profile_record {
    char name[FL_NAME_MAX + 1];
    uint64_t version;
    char key_id[FL_KEY_ID_TEXT];
    fl_time_t added;
    struct fl_buffer text; /* fl_profile_record_free */
};
void fl_profile_record_free(struct fl_profile_record *record);

/* `name` is the text's file for messages. FL_EPARSE, FL_EAUTH (signature), FL_ESTATE (version does
 * not grow), FL_ELIMIT. `*added` false: it was there already, byte for byte. */
FL_MUST_USE enum fl_error fl_profile_store_add(const struct fl_store *store,
                                               const struct fl_profile_keys *keys,
                                               struct fl_slice text, const char *file,
                                               const struct fl_change *change, bool *added,
                                               char name[FL_NAME_MAX + 1], struct fl_context *ctx);

/* The version in force. FL_ENOTFOUND. */
FL_MUST_USE enum fl_error fl_profile_store_get(const struct fl_store *store, struct fl_slice name,
                                               struct fl_profile_record *record,
                                               struct fl_context *ctx);
/* The version in force, parsed; the record's text must outlive it. */
FL_MUST_USE enum fl_error fl_profile_store_parse(const struct fl_profile_record *record,
                                                 struct fl_profile *profile,
                                                 struct fl_context *ctx);

/* Those in force, by name. */
typedef bool (*fl_profile_visit)(void *to, const struct fl_profile_record *record);
FL_MUST_USE enum fl_error fl_profile_store_each(const struct fl_store *store,
                                                fl_profile_visit visit, void *to,
                                                struct fl_context *ctx);

#endif
