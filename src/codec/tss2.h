/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of a key that lives in a TPM: "-----BEGIN TSS2 PRIVATE KEY-----", the ASN.1 form that
 * other TPM tools read too. It holds the key's public area and its private part, which the TPM
 * itself has wrapped: useless anywhere but in that TPM. Only loadable keys without a password or
 * policy. Pure: no I/O, no cryptography.
 */
#ifndef FL_CODEC_TSS2_H
#define FL_CODEC_TSS2_H

#include "base/buffer.h"

#define FL_TSS2_OWNER 0x40000001U /* the parent: the primary key of the owner hierarchy */

/* One of our blobs is about 120 bytes; the bound leaves room for an RSA key's. */
#define FL_TSS2_BLOB_MAX 2048U

struct fl_tss2_key {
    uint32_t parent;
    struct fl_slice public_area;  /* TPM2B_PUBLIC, with its size */
    struct fl_slice private_area; /* TPM2B_PRIVATE, with its size */
};

/* True if the text has such a block, well-formed or not. */
bool fl_tss2_is_pem(struct fl_slice text);

FL_MUST_USE enum fl_error fl_tss2_to_pem(const struct fl_tss2_key *key, struct fl_buffer *pem,
                                         struct fl_context *ctx);
/* The key's slices point into `der`, which the caller frees. FL_EPARSE; FL_EUNSUPPORTED: a key with
 * a password, a policy or of another type. */
FL_MUST_USE enum fl_error fl_tss2_from_pem(struct fl_slice pem, struct fl_buffer *der,
                                           struct fl_tss2_key *key, struct fl_context *ctx);

#endif
