/* SPDX-License-Identifier: Apache-2.0
 *
 * The public keys of a TPM as it gives them (TPMT_PUBLIC, TPM 2.0 Library Part 2 12.2.4), read and
 * judged: an endorsement key (EK; P-256 or RSA 2048), which only decrypts and says which TPM it is,
 * and an attestation key (AK; P-256), which signs only what the TPM itself made. Hostile bytes;
 * nothing of a TPM is needed.
 */
#ifndef FL_TRUST_TPM_PUBLIC_H
#define FL_TRUST_TPM_PUBLIC_H

#include "base/buffer.h"
#include "base/limits.h"

#include <openssl/evp.h>

#define FL_TPM_NAME_SIZE 34 /* of a key: u16 SHA-256, and the digest of its public area */

struct fl_tpm_public {
    EVP_PKEY *key; /* fl_tpm_public_free */
    bool is_ecc;
    uint32_t attributes;
    uint16_t key_bits; /* of the symmetric cipher of a key that decrypts */
    uint8_t name[FL_TPM_NAME_SIZE];
};

/* FL_EPARSE, FL_EUNSUPPORTED with words. */
FL_MUST_USE enum fl_error fl_tpm_public_read(struct fl_slice area, struct fl_tpm_public *key,
                                             struct fl_context *ctx);
void fl_tpm_public_free(struct fl_tpm_public *key);

/* FL_EDENIED with words unless it is one of that kind which never leaves its TPM. */
FL_MUST_USE enum fl_error fl_tpm_public_is_ek(const struct fl_tpm_public *key,
                                              struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_tpm_public_is_ak(const struct fl_tpm_public *key,
                                              struct fl_context *ctx);

#define FL_EK_HASH_TEXT 65
/* By what an EK is known: hex of the SHA-256 of its SubjectPublicKeyInfo (DER). */
FL_MUST_USE enum fl_error fl_tpm_ek_hash(const struct fl_tpm_public *ek, char hash[FL_EK_HASH_TEXT],
                                         struct fl_context *ctx);

/* A credential for `ak_name` that only the TPM of `ek` opens, and only when it holds that key
 * (TPM2_MakeCredential, Part 1 24 and annexes B.10.4 and C.6.4): `blob` is a TPM2B_ID_OBJECT,
 * `sealed` a TPM2B_ENCRYPTED_SECRET. `secret` is of at most 32 octets. */
FL_MUST_USE enum fl_error fl_tpm_credential_make(const struct fl_tpm_public *ek,
                                                 const uint8_t ak_name[FL_TPM_NAME_SIZE],
                                                 struct fl_slice secret, struct fl_buffer *blob,
                                                 struct fl_buffer *sealed, struct fl_context *ctx);

#endif
