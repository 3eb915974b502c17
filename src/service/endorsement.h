/* SPDX-License-Identifier: Apache-2.0
 *
 * Which TPM a device has, why that is believed, and the attestation key that lives in it. A TPM is
 * known by its endorsement key (EK) and belongs to one device. Verbs that write run in the caller's
 * transaction.
 */
#ifndef FL_SERVICE_ENDORSEMENT_H
#define FL_SERVICE_ENDORSEMENT_H

#include "base/limits.h"
#include "service/document.h"
#include "trust/tpm_public.h"

/* Why the TPM is believed to be this device's. */
enum fl_ek_basis {
    FL_EK_NONE,
    FL_EK_FIRST_USE,  /* it was the first that the device showed */
    FL_EK_REGISTERED, /* an operator said which one it is */
    FL_EK_BASIS_COUNT
};

struct fl_endorsement {
    char device[FL_NAME_MAX + 1];
    char registered[FL_EK_HASH_TEXT]; /* by an operator; empty: not */
    char ek[FL_EK_HASH_TEXT];         /* of the TPM that proved itself; empty: none has */
    enum fl_ek_basis basis;
    uint8_t ak[FL_LIMIT_TPM_PUBLIC]; /* its attestation key: the public area */
    size_t ak_size;
    char ak_name[2 * FL_TPM_NAME_SIZE + 1];
    fl_time_t since; /* of the attestation key */
};

const char *fl_ek_basis_words(enum fl_ek_basis basis);

/* Nothing is on record: an empty one. */
FL_MUST_USE enum fl_error fl_endorsement_get(const struct fl_store *store, const char *device,
                                             struct fl_endorsement *endorsement,
                                             struct fl_context *ctx);

/* An operator says which TPM it is, before or instead of first use. FL_EINVAL: not a SHA-256 in
 * hex; FL_EEXISTS: another device's; FL_ESTATE: another has proved itself already. */
FL_MUST_USE enum fl_error fl_endorsement_register(const struct fl_store *store, const char *device,
                                                  const char *ek_hash,
                                                  const struct fl_change *change,
                                                  struct fl_context *ctx);
/* The device's TPM was replaced: whatever comes next is a first use. */
FL_MUST_USE enum fl_error fl_endorsement_forget(const struct fl_store *store, const char *device,
                                                const struct fl_change *change,
                                                struct fl_context *ctx);

/* May the TPM with this EK speak for the device? FL_EDENIED with words. */
FL_MUST_USE enum fl_error fl_endorsement_check(const struct fl_store *store,
                                               const struct fl_endorsement *endorsement,
                                               const char *ek_hash, struct fl_context *ctx);
/* It has proved that the attestation key lives in it. */
FL_MUST_USE enum fl_error fl_endorsement_record(const struct fl_store *store,
                                                struct fl_endorsement *endorsement,
                                                const char *ek_hash, struct fl_slice ak,
                                                const uint8_t ak_name[FL_TPM_NAME_SIZE],
                                                const struct fl_change *change,
                                                struct fl_context *ctx);

#endif
