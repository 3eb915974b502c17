/* SPDX-License-Identifier: Apache-2.0
 *
 * What a TPM 2.0 says of itself and of the boot, through tpm2-tss (Esys): its endorsement key (EK,
 * the TCG's P-256 template) and its attestation key (AK, restricted, P-256), both primaries of the
 * endorsement hierarchy (empty password), so that the same ones come out every time and nothing has
 * to be kept; the proof that both live in one TPM; quotes. Blocks, without a bound of its own: for
 * a process that can be ended. Nobody else of this process may hold the TPM meanwhile.
 */
#ifndef FL_IO_TPM_ATTEST_H
#define FL_IO_TPM_ATTEST_H

#include "base/buffer.h"
#include "codec/evidence.h"

struct fl_tpm_attest;

FL_MUST_USE enum fl_error fl_tpm_attest_open(const char *tcti, struct fl_tpm_attest **tpm,
                                             struct fl_context *ctx);
void fl_tpm_attest_close(struct fl_tpm_attest *tpm); /* NULL is harmless */

/* Public areas (TPMT_PUBLIC) of both keys. */
FL_MUST_USE enum fl_error fl_tpm_attest_keys(struct fl_tpm_attest *tpm, struct fl_buffer *ek,
                                             struct fl_buffer *ak, struct fl_context *ctx);
/* Opens a credential made for them (TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET). FL_EAUTH: it was
 * made for another TPM or another key. */
FL_MUST_USE enum fl_error fl_tpm_attest_activate(struct fl_tpm_attest *tpm,
                                                 struct fl_slice credential, struct fl_slice sealed,
                                                 struct fl_buffer *secret, struct fl_context *ctx);
/* A quote (TPMS_ATTEST, TPMT_SIGNATURE) of these PCRs of the SHA-256 bank with `extra` in it, and
 * the values that it is over. */
FL_MUST_USE enum fl_error fl_tpm_attest_quote(struct fl_tpm_attest *tpm, uint32_t which,
                                              struct fl_slice extra, struct fl_buffer *quote,
                                              struct fl_buffer *signature, struct fl_pcrs *pcrs,
                                              struct fl_context *ctx);

#endif
