/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys that live in a TPM 2.0 and sign there, through tpm2-tss (Esys), without a resource manager.
 * A key is made under the standard P-256 storage primary of the owner hierarchy (empty password)
 * and kept by us as a TSS2 key file; the private half never leaves the TPM unwrapped. It comes as
 * an EVP_PKEY that signs CSRs and TLS handshakes by calling the TPM.
 *
 * The TPM is opened when first needed and held until fl_tpm_release: a TPM without a resource
 * manager serves one program at a time. Keys keep the fl_tpm alive. Calls block (a signature takes
 * milliseconds in swtpm, up to a few hundred in hardware). One thread.
 */
#ifndef FL_IO_TPM_H
#define FL_IO_TPM_H

#include "base/buffer.h"

#include <openssl/evp.h>

struct fl_tpm;

/* "tpm:TCTI" gives the TCTI ("device:/dev/tpmrm0"; "swtpm:host=127.0.0.1,port=2321"; empty: the
 * TSS's default); NULL when `key` is not of that form. */
const char *fl_tpm_tcti(const char *key);

/* Opens it and asks it for its properties, so that a wrong TCTI is found here: FL_ENOTFOUND
 * (nothing there, no such TCTI), FL_ETIMEOUT (it does not answer; another program may hold it). */
FL_MUST_USE enum fl_error fl_tpm_open(const char *tcti, struct fl_tpm **tpm,
                                      struct fl_context *ctx);
/* Lets go of the TPM: flushes what we loaded, closes the connection. The next use opens it again.
 */
void fl_tpm_release(struct fl_tpm *tpm);
void fl_tpm_close(struct fl_tpm *tpm); /* NULL is harmless; keys stay usable */

/* Makes a P-256 signing key; `pem` gets its TSS2 key file. The caller frees `key`. */
FL_MUST_USE enum fl_error fl_tpm_key_create(struct fl_tpm *tpm, struct fl_buffer *pem,
                                            EVP_PKEY **key, struct fl_context *ctx);
/* Loads one. FL_EAUTH: another TPM made it, or this one has been cleared since; FL_EPARSE,
 * FL_EUNSUPPORTED: see fl_tss2_from_pem, and keys that are not P-256 under the owner's primary. */
FL_MUST_USE enum fl_error fl_tpm_key_load(struct fl_tpm *tpm, struct fl_slice pem, EVP_PKEY **key,
                                          struct fl_context *ctx);

/* Words for the last signature that failed (OpenSSL's own say little), or "". */
const char *fl_tpm_last_failure(const struct fl_tpm *tpm);

#endif
