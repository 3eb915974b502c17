/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tpm_attest.h"

#include "base/str.h"

#include <stdlib.h>
#include <time.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

enum {
    TRIES_MAX = 8,
    WAIT_MS = 20, /* before the second try; doubles */
    SELECT_SIZE = 3,
};

struct fl_tpm_attest {
    TSS2_TCTI_CONTEXT *transport;
    ESYS_CONTEXT *esys;
    ESYS_TR ek; /* ESYS_TR_NONE: not made yet */
    ESYS_TR ak;
    TPM2B_PUBLIC ek_public;
    TPM2B_PUBLIC ak_public;
};

/* TCG EK Credential Profile 2.x, template L-2 (P-256); its policy is PolicySecret of the
 * endorsement hierarchy. */
static const TPM2B_PUBLIC ek_template = {
    .publicArea =
        {
            .type = TPM2_ALG_ECC,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_ADMINWITHPOLICY |
                                TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
            .authPolicy = {.size = 32, .buffer = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xB3, 0xF8,
                                                  0x1A, 0x90, 0xCC, 0x8D, 0x46, 0xA5, 0xD7, 0x24,
                                                  0xFD, 0x52, 0xD7, 0x6E, 0x06, 0x52, 0x0B, 0x64,
                                                  0xF2, 0xA1, 0xDA, 0x1B, 0x33, 0x14, 0x69, 0xAA}},
            .parameters.eccDetail = {.symmetric = {.algorithm = TPM2_ALG_AES,
                                                   .keyBits.aes = 128,
                                                   .mode.aes = TPM2_ALG_CFB},
                                     .scheme.scheme = TPM2_ALG_NULL,
                                     .curveID = TPM2_ECC_NIST_P256,
                                     .kdf.scheme = TPM2_ALG_NULL},
            .unique.ecc = {.x.size = 32, .y.size = 32},
        },
};

static const TPM2B_PUBLIC ak_template = {
    .publicArea =
        {
            .type = TPM2_ALG_ECC,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                                TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED |
                                TPMA_OBJECT_SIGN_ENCRYPT,
            .parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
                                     .scheme = {.scheme = TPM2_ALG_ECDSA,
                                                .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
                                     .curveID = TPM2_ECC_NIST_P256,
                                     .kdf.scheme = TPM2_ALG_NULL},
        },
};

static enum fl_error fail(TSS2_RC rc, const char *doing, struct fl_context *ctx)
{
    return fl_fail(ctx, FL_ECRYPTO, "TPM: %s: %s", doing, Tss2_RC_Decode(rc));
}

/* After each command: true when it is worth sending again. */
static bool again(TSS2_RC rc, int *tries)
{
    TSS2_RC code = rc & 0xFFFFU;
    struct timespec pause = {0};

    if (rc == TSS2_RC_SUCCESS || ++*tries >= TRIES_MAX ||
        (code != TPM2_RC_RETRY && code != TPM2_RC_YIELDED && code != TPM2_RC_TESTING))
        return false;
    pause.tv_nsec = ((long)WAIT_MS << (*tries - 1)) * 1000000 % 1000000000;
    (void)nanosleep(&pause, NULL);
    return true;
}

enum fl_error fl_tpm_attest_open(const char *tcti, struct fl_tpm_attest **tpm,
                                 struct fl_context *ctx)
{
    struct fl_tpm_attest *made = calloc(1, sizeof *made);
    TSS2_RC rc = 0;

    if (!made)
        return fl_fail(ctx, FL_ENOMEM, "TPM: out of memory");
    made->ek = ESYS_TR_NONE;
    made->ak = ESYS_TR_NONE;
    (void)setenv("TSS2_LOG", "all+NONE", 0);
    rc = Tss2_TctiLdr_Initialize(tcti[0] ? tcti : NULL, &made->transport);
    if (rc)
        made->transport = NULL;
    else
        rc = Esys_Initialize(&made->esys, made->transport, NULL);
    if (rc) {
        fl_tpm_attest_close(made);
        return fail(rc, "open", ctx);
    }
    *tpm = made;
    return FL_OK;
}

void fl_tpm_attest_close(struct fl_tpm_attest *tpm)
{
    if (!tpm)
        return;
    if (tpm->esys && tpm->ek != ESYS_TR_NONE)
        (void)Esys_FlushContext(tpm->esys, tpm->ek);
    if (tpm->esys && tpm->ak != ESYS_TR_NONE)
        (void)Esys_FlushContext(tpm->esys, tpm->ak);
    if (tpm->esys)
        Esys_Finalize(&tpm->esys);
    if (tpm->transport)
        Tss2_TctiLdr_Finalize(&tpm->transport);
    free(tpm);
}

/* --- keys --- */

static enum fl_error make(struct fl_tpm_attest *tpm, const TPM2B_PUBLIC *template, const char *what,
                          ESYS_TR *handle, TPM2B_PUBLIC *area, struct fl_context *ctx)
{
    static const TPM2B_SENSITIVE_CREATE no_secret;
    static const TPM2B_DATA no_data;
    static const TPML_PCR_SELECTION no_pcrs;
    TPM2B_PUBLIC *made = NULL;
    int tries = 0;
    TSS2_RC rc = 0;

    if (*handle != ESYS_TR_NONE)
        return FL_OK;
    do {
        rc = Esys_CreatePrimary(tpm->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                ESYS_TR_NONE, &no_secret, template, &no_data, &no_pcrs, handle,
                                &made, NULL, NULL, NULL);
    } while (again(rc, &tries));
    if (rc) {
        *handle = ESYS_TR_NONE;
        return fail(rc, what, ctx);
    }
    *area = *made;
    Esys_Free(made);
    return FL_OK;
}

static enum fl_error make_ek(struct fl_tpm_attest *tpm, struct fl_context *ctx)
{
    return make(tpm, &ek_template, "make the endorsement key", &tpm->ek, &tpm->ek_public, ctx);
}

static enum fl_error make_ak(struct fl_tpm_attest *tpm, struct fl_context *ctx)
{
    return make(tpm, &ak_template, "make the attestation key", &tpm->ak, &tpm->ak_public, ctx);
}

static enum fl_error put_area(const TPM2B_PUBLIC *key, struct fl_buffer *out,
                              struct fl_context *ctx)
{
    uint8_t bytes[sizeof(TPMT_PUBLIC)];
    size_t size = 0;
    TSS2_RC rc = Tss2_MU_TPMT_PUBLIC_Marshal(&key->publicArea, bytes, sizeof bytes, &size);

    if (rc)
        return fail(rc, "write a public key", ctx);
    return fl_buffer_append(out, bytes, size);
}

enum fl_error fl_tpm_attest_keys(struct fl_tpm_attest *tpm, struct fl_buffer *ek,
                                 struct fl_buffer *ak, struct fl_context *ctx)
{
    enum fl_error error = make_ek(tpm, ctx);

    if (!error)
        error = make_ak(tpm, ctx);
    if (!error)
        error = put_area(&tpm->ek_public, ek, ctx);
    return error ? error : put_area(&tpm->ak_public, ak, ctx);
}

/* --- credentials --- */

/* A session in which the endorsement hierarchy's (empty) password was shown: the EK's policy. */
static enum fl_error open_policy(struct fl_tpm_attest *tpm, ESYS_TR *session,
                                 struct fl_context *ctx)
{
    const TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
    TSS2_RC rc =
        Esys_StartAuthSession(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                              ESYS_TR_NONE, NULL, TPM2_SE_POLICY, &none, TPM2_ALG_SHA256, session);

    if (rc)
        return fail(rc, "open a session", ctx);
    rc = Esys_PolicySecret(tpm->esys, ESYS_TR_RH_ENDORSEMENT, *session, ESYS_TR_PASSWORD,
                           ESYS_TR_NONE, ESYS_TR_NONE, NULL, NULL, NULL, 0, NULL, NULL);
    if (!rc)
        return FL_OK;
    (void)Esys_FlushContext(tpm->esys, *session);
    return fail(rc, "use the endorsement hierarchy (has it a password?)", ctx);
}

enum fl_error fl_tpm_attest_activate(struct fl_tpm_attest *tpm, struct fl_slice credential,
                                     struct fl_slice sealed, struct fl_buffer *secret,
                                     struct fl_context *ctx)
{
    TPM2B_ID_OBJECT blob = {0};
    TPM2B_ENCRYPTED_SECRET seed = {0};
    TPM2B_DIGEST *opened = NULL;
    ESYS_TR session = ESYS_TR_NONE;
    size_t blob_size = 0;
    size_t seed_size = 0;
    TSS2_RC rc = 0;
    enum fl_error error = make_ek(tpm, ctx);

    if (!error)
        error = make_ak(tpm, ctx);
    if (!error && (Tss2_MU_TPM2B_ID_OBJECT_Unmarshal(credential.data, credential.size, &blob_size,
                                                     &blob) != 0 ||
                   Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(sealed.data, sealed.size, &seed_size,
                                                            &seed) != 0 ||
                   blob_size != credential.size || seed_size != sealed.size))
        error = fl_fail(ctx, FL_EPARSE, "the hub's credential is malformed");
    if (!error)
        error = open_policy(tpm, &session, ctx);
    if (error)
        return error;
    rc = Esys_ActivateCredential(tpm->esys, tpm->ak, tpm->ek, ESYS_TR_PASSWORD, session,
                                 ESYS_TR_NONE, &blob, &seed, &opened);
    if (rc) {
        (void)Esys_FlushContext(tpm->esys, session);
        return fl_fail(ctx, FL_EAUTH, "TPM: the hub's credential is not for this TPM: %s",
                       Tss2_RC_Decode(rc));
    }
    (void)Esys_FlushContext(tpm->esys, session);
    error = fl_buffer_append(secret, opened->buffer, opened->size);
    Esys_Free(opened);
    return error;
}

/* --- quotes --- */

static TPML_PCR_SELECTION selection_of(uint32_t which)
{
    TPML_PCR_SELECTION selection = {.count = 1};

    selection.pcrSelections[0].hash = TPM2_ALG_SHA256;
    selection.pcrSelections[0].sizeofSelect = SELECT_SIZE;
    for (unsigned i = 0; i < SELECT_SIZE; i++)
        selection.pcrSelections[0].pcrSelect[i] = (BYTE)(which >> (8 * i));
    return selection;
}

/* A TPM gives at most eight values at a time, and says which. */
static enum fl_error read_pcrs(struct fl_tpm_attest *tpm, uint32_t which, struct fl_pcrs *pcrs,
                               UINT32 *counter, struct fl_context *ctx)
{
    *pcrs = (struct fl_pcrs){0};
    while (pcrs->present != which) {
        TPML_PCR_SELECTION wanted = selection_of(which & ~pcrs->present);
        TPML_PCR_SELECTION *read = NULL;
        TPML_DIGEST *values = NULL;
        uint32_t before = pcrs->present;
        UINT32 next = 0;
        TSS2_RC rc = Esys_PCR_Read(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &wanted,
                                   counter, &read, &values);

        if (rc)
            return fail(rc, "read PCRs", ctx);
        for (unsigned i = 0; i < FL_LIMIT_PCRS && read->count == 1; i++) {
            if (!(read->pcrSelections[0].pcrSelect[i / 8] & 1U << i % 8) || next >= values->count)
                continue;
            if (values->digests[next].size == FL_PCR_SIZE)
                memcpy(pcrs->value[i], values->digests[next].buffer, FL_PCR_SIZE);
            pcrs->present |= 1U << i;
            next++;
        }
        Esys_Free(read);
        Esys_Free(values);
        if (pcrs->present == before)
            return fl_fail(ctx, FL_EUNSUPPORTED, "TPM: it has no SHA-256 bank of PCRs");
    }
    return FL_OK;
}

static enum fl_error quote_once(struct fl_tpm_attest *tpm, uint32_t which, struct fl_slice extra,
                                TPM2B_ATTEST **quoted, TPMT_SIGNATURE **signature,
                                struct fl_context *ctx)
{
    TPM2B_DATA data = {.size = (UINT16)extra.size};
    const TPMT_SIG_SCHEME own = {.scheme = TPM2_ALG_NULL};
    TPML_PCR_SELECTION selection = selection_of(which);
    int tries = 0;
    TSS2_RC rc = 0;

    memcpy(data.buffer, extra.data, extra.size);
    do {
        rc = Esys_Quote(tpm->esys, tpm->ak, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data,
                        &own, &selection, quoted, signature);
    } while (again(rc, &tries));
    return rc ? fail(rc, "quote", ctx) : FL_OK;
}

enum fl_error fl_tpm_attest_quote(struct fl_tpm_attest *tpm, uint32_t which, struct fl_slice extra,
                                  struct fl_buffer *quote, struct fl_buffer *signature,
                                  struct fl_pcrs *pcrs, struct fl_context *ctx)
{
    TPM2B_ATTEST *quoted = NULL;
    TPMT_SIGNATURE *signed_by = NULL;
    uint8_t bytes[sizeof(TPMT_SIGNATURE)];
    size_t size = 0;
    UINT32 before = 0;
    UINT32 after = 1;
    struct fl_pcrs again_read = {0};
    enum fl_error error = extra.size <= sizeof((TPM2B_DATA *)NULL)->buffer
                              ? make_ak(tpm, ctx)
                              : fl_fail(ctx, FL_ELIMIT, "TPM: too much to quote");

    /* A PCR that is extended in between would make the values not those of the quote. */
    for (int i = 0; !error && before != after && i < TRIES_MAX; i++) {
        Esys_Free(quoted);
        Esys_Free(signed_by);
        quoted = NULL;
        signed_by = NULL;
        error = read_pcrs(tpm, which, pcrs, &before, ctx);
        if (!error)
            error = quote_once(tpm, which, extra, &quoted, &signed_by, ctx);
        if (!error)
            error = read_pcrs(tpm, which, &again_read, &after, ctx);
    }
    if (!error && Tss2_MU_TPMT_SIGNATURE_Marshal(signed_by, bytes, sizeof bytes, &size) != 0)
        error = fl_fail(ctx, FL_ECRYPTO, "TPM: its signature cannot be written");
    if (!error)
        error = fl_buffer_append(quote, quoted->attestationData, quoted->size);
    if (!error)
        error = fl_buffer_append(signature, bytes, size);
    Esys_Free(quoted);
    Esys_Free(signed_by);
    return error;
}
