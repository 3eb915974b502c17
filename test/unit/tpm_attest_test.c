/* SPDX-License-Identifier: Apache-2.0
 *
 * A real TPM (swtpm) against what the hub makes and reads without one: credentials that only it
 * opens, and its quotes.
 */
#include "test/unit/swtpm_rig.h"

#include "io/tpm_attest.h"
#include "trust/key.h"
#include "trust/quote.h"
#include "trust/tpm_public.h"

#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tctildr.h>

struct keys {
    struct fl_buffer ek_area;
    struct fl_buffer ak_area;
    struct fl_tpm_public ek;
    struct fl_tpm_public ak;
};

static struct fl_tpm_attest *open_it(void)
{
    struct fl_tpm_attest *tpm = NULL;
    struct fl_context ctx = {0};

    if (fl_tpm_attest_open(swtpm.tcti, &tpm, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
    return tpm;
}

static void get_keys(struct fl_tpm_attest *tpm, struct keys *keys)
{
    struct fl_context ctx = {0};

    *keys = (struct keys){.ek_area = FL_BUFFER(1024), .ak_area = FL_BUFFER(1024)};
    if (fl_tpm_attest_keys(tpm, &keys->ek_area, &keys->ak_area, &ctx) != FL_OK ||
        fl_tpm_public_read(fl_buffer_slice(&keys->ek_area), &keys->ek, &ctx) != FL_OK ||
        fl_tpm_public_read(fl_buffer_slice(&keys->ak_area), &keys->ak, &ctx) != FL_OK ||
        fl_tpm_public_is_ek(&keys->ek, &ctx) != FL_OK ||
        fl_tpm_public_is_ak(&keys->ak, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
}

static void drop_keys(struct keys *keys)
{
    fl_tpm_public_free(&keys->ek);
    fl_tpm_public_free(&keys->ak);
    fl_buffer_free(&keys->ek_area);
    fl_buffer_free(&keys->ak_area);
}

static void the_same_keys_come_out_every_time(void **state)
{
    struct fl_tpm_attest *tpm = open_it();
    struct keys first;
    struct keys second;

    (void)state;
    get_keys(tpm, &first);
    fl_tpm_attest_close(tpm);
    tpm = open_it();
    get_keys(tpm, &second);
    fl_tpm_attest_close(tpm);
    assert_true(fl_slice_equal(fl_buffer_slice(&first.ek_area), fl_buffer_slice(&second.ek_area)));
    assert_true(fl_slice_equal(fl_buffer_slice(&first.ak_area), fl_buffer_slice(&second.ak_area)));
    assert_int_equal(fl_tpm_public_is_ek(&first.ak, NULL), FL_EDENIED);
    assert_int_equal(fl_tpm_public_is_ak(&first.ek, NULL), FL_EDENIED);
    drop_keys(&first);
    drop_keys(&second);
}

static void a_credential_is_opened_by_its_tpm_for_its_key_only(void **state)
{
    static const uint8_t secret[32] = "what only this TPM can read ...";
    struct fl_tpm_attest *tpm = open_it();
    struct keys keys;
    struct fl_buffer blob = FL_BUFFER(512);
    struct fl_buffer sealed = FL_BUFFER(512);
    struct fl_buffer found = FL_BUFFER(64);
    struct fl_context ctx = {0};
    uint8_t other[FL_TPM_NAME_SIZE];
    EVP_PKEY *stranger = NULL;
    struct fl_tpm_public elsewhere;

    (void)state;
    get_keys(tpm, &keys);
    assert_ok(fl_tpm_credential_make(&keys.ek, keys.ak.name, fl_slice(secret, sizeof secret), &blob,
                                     &sealed, NULL));
    if (fl_tpm_attest_activate(tpm, fl_buffer_slice(&blob), fl_buffer_slice(&sealed), &found,
                               &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
    assert_true(fl_slice_equal(fl_buffer_slice(&found), fl_slice(secret, sizeof secret)));

    memcpy(other, keys.ak.name, sizeof other);
    other[10] ^= 1;
    fl_buffer_clear(&blob);
    fl_buffer_clear(&sealed);
    assert_ok(fl_tpm_credential_make(&keys.ek, other, fl_slice(secret, sizeof secret), &blob,
                                     &sealed, NULL));
    assert_int_equal(
        fl_tpm_attest_activate(tpm, fl_buffer_slice(&blob), fl_buffer_slice(&sealed), &found, &ctx),
        FL_EAUTH);

    assert_ok(fl_key_generate(&stranger, NULL));
    elsewhere = keys.ek;
    elsewhere.key = stranger;
    fl_buffer_clear(&blob);
    fl_buffer_clear(&sealed);
    assert_ok(fl_tpm_credential_make(&elsewhere, keys.ak.name, fl_slice(secret, sizeof secret),
                                     &blob, &sealed, NULL));
    assert_int_equal(
        fl_tpm_attest_activate(tpm, fl_buffer_slice(&blob), fl_buffer_slice(&sealed), &found, &ctx),
        FL_EAUTH);
    assert_int_equal(
        fl_tpm_attest_activate(tpm, fl_slice_str("no"), fl_slice_str("no"), &found, &ctx),
        FL_EPARSE);
    EVP_PKEY_free(stranger);
    drop_keys(&keys);
    fl_buffer_free(&blob);
    fl_buffer_free(&sealed);
    fl_buffer_free(&found);
    fl_tpm_attest_close(tpm);
}

/* --- an endorsement key of RSA, as most TPMs' certificates are for --- */

static const TPM2B_PUBLIC rsa_ek = {
    .publicArea =
        {
            .type = TPM2_ALG_RSA,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = 0x300B2,
            .authPolicy = {.size = 32, .buffer = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xB3, 0xF8,
                                                  0x1A, 0x90, 0xCC, 0x8D, 0x46, 0xA5, 0xD7, 0x24,
                                                  0xFD, 0x52, 0xD7, 0x6E, 0x06, 0x52, 0x0B, 0x64,
                                                  0xF2, 0xA1, 0xDA, 0x1B, 0x33, 0x14, 0x69, 0xAA}},
            .parameters.rsaDetail = {.symmetric = {.algorithm = TPM2_ALG_AES,
                                                   .keyBits.aes = 128,
                                                   .mode.aes = TPM2_ALG_CFB},
                                     .scheme.scheme = TPM2_ALG_NULL,
                                     .keyBits = 2048},
            .unique.rsa.size = 256,
        },
};

static const TPM2B_PUBLIC signer = {
    .publicArea =
        {
            .type = TPM2_ALG_ECC,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = 0x50072,
            .parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
                                     .scheme = {.scheme = TPM2_ALG_ECDSA,
                                                .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
                                     .curveID = TPM2_ECC_NIST_P256,
                                     .kdf.scheme = TPM2_ALG_NULL},
        },
};

static void make(ESYS_CONTEXT *esys, const TPM2B_PUBLIC *wanted, ESYS_TR *handle,
                 struct fl_tpm_public *key)
{
    const TPM2B_SENSITIVE_CREATE no_secret = {0};
    const TPM2B_DATA no_data = {0};
    const TPML_PCR_SELECTION no_pcrs = {0};
    TPM2B_PUBLIC *made = NULL;
    uint8_t bytes[1024];
    size_t size = 0;

    assert_int_equal(Esys_CreatePrimary(esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD,
                                        ESYS_TR_NONE, ESYS_TR_NONE, &no_secret, wanted, &no_data,
                                        &no_pcrs, handle, &made, NULL, NULL, NULL),
                     0);
    assert_int_equal(Tss2_MU_TPMT_PUBLIC_Marshal(&made->publicArea, bytes, sizeof bytes, &size), 0);
    assert_ok(fl_tpm_public_read(fl_slice(bytes, size), key, NULL));
    Esys_Free(made);
}

static void open_policy(ESYS_CONTEXT *esys, ESYS_TR *session)
{
    const TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};

    assert_int_equal(Esys_StartAuthSession(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                           ESYS_TR_NONE, ESYS_TR_NONE, NULL, TPM2_SE_POLICY, &none,
                                           TPM2_ALG_SHA256, session),
                     0);
    assert_int_equal(Esys_PolicySecret(esys, ESYS_TR_RH_ENDORSEMENT, *session, ESYS_TR_PASSWORD,
                                       ESYS_TR_NONE, ESYS_TR_NONE, NULL, NULL, NULL, 0, NULL, NULL),
                     0);
}

static void a_credential_for_an_rsa_endorsement_key_is_opened(void **state)
{
    static const uint8_t secret[32] = "for an RSA key this time .......";
    TSS2_TCTI_CONTEXT *transport = NULL;
    ESYS_CONTEXT *esys = NULL;
    ESYS_TR ek_handle = ESYS_TR_NONE;
    ESYS_TR ak_handle = ESYS_TR_NONE;
    ESYS_TR session = ESYS_TR_NONE;
    struct fl_buffer blob = FL_BUFFER(512);
    struct fl_buffer sealed = FL_BUFFER(512);
    struct fl_tpm_public ek;
    struct fl_tpm_public ak;
    TPM2B_ID_OBJECT id = {0};
    TPM2B_ENCRYPTED_SECRET seed = {0};
    TPM2B_DIGEST *found = NULL;
    size_t at = 0;

    (void)state;
    assert_int_equal(Tss2_TctiLdr_Initialize(swtpm.tcti, &transport), 0);
    assert_int_equal(Esys_Initialize(&esys, transport, NULL), 0);
    make(esys, &rsa_ek, &ek_handle, &ek);
    make(esys, &signer, &ak_handle, &ak);
    assert_ok(fl_tpm_public_is_ek(&ek, NULL));
    assert_ok(fl_tpm_credential_make(&ek, ak.name, fl_slice(secret, sizeof secret), &blob, &sealed,
                                     NULL));
    assert_int_equal(Tss2_MU_TPM2B_ID_OBJECT_Unmarshal(fl_buffer_slice(&blob).data,
                                                       fl_buffer_slice(&blob).size, &at, &id),
                     0);
    at = 0;
    assert_int_equal(Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(
                         fl_buffer_slice(&sealed).data, fl_buffer_slice(&sealed).size, &at, &seed),
                     0);
    open_policy(esys, &session);
    assert_int_equal(Esys_ActivateCredential(esys, ak_handle, ek_handle, ESYS_TR_PASSWORD, session,
                                             ESYS_TR_NONE, &id, &seed, &found),
                     0);
    assert_int_equal(found->size, sizeof secret);
    assert_memory_equal(found->buffer, secret, sizeof secret);
    Esys_Free(found);
    (void)Esys_FlushContext(esys, session);
    (void)Esys_FlushContext(esys, ak_handle);
    (void)Esys_FlushContext(esys, ek_handle);
    Esys_Finalize(&esys);
    Tss2_TctiLdr_Finalize(&transport);
    fl_tpm_public_free(&ek);
    fl_tpm_public_free(&ak);
    fl_buffer_free(&blob);
    fl_buffer_free(&sealed);
}

static void a_quote_is_what_the_tpm_has_and_nobody_can_change_it(void **state)
{
    static const uint8_t extra[32] = "the digest of some claims ......";
    struct fl_tpm_attest *tpm = open_it();
    struct keys keys;
    struct fl_buffer attest = FL_BUFFER(1024);
    struct fl_buffer signature = FL_BUFFER(1024);
    struct fl_pcrs pcrs;
    struct fl_quote quote;
    struct fl_context ctx = {0};
    struct fl_slice bytes = {0};
    uint8_t digest[32];
    uint8_t changed[1024];

    (void)state;
    get_keys(tpm, &keys);
    if (fl_tpm_attest_quote(tpm, 0x4080FF, fl_slice(extra, sizeof extra), &attest, &signature,
                            &pcrs, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
    bytes = fl_buffer_slice(&attest);
    assert_ok(fl_quote_read(bytes, &quote, NULL));
    assert_ok(fl_quote_verify(bytes, fl_buffer_slice(&signature), keys.ak.key, NULL));
    assert_int_equal(quote.pcrs, 0x4080FF);
    assert_int_equal(pcrs.present, 0x4080FF);
    assert_true(fl_slice_equal(quote.extra, fl_slice(extra, sizeof extra)));
    fl_quote_digest(&pcrs, quote.pcrs, digest);
    assert_memory_equal(digest, quote.digest, sizeof digest);
    for (size_t i = 0; i < bytes.size; i++) {
        memcpy(changed, bytes.data, bytes.size);
        changed[i] ^= 1;
        assert_int_equal(fl_quote_verify(fl_slice(changed, bytes.size), fl_buffer_slice(&signature),
                                         keys.ak.key, NULL),
                         FL_EAUTH);
        assert_int_not_equal(fl_quote_read(fl_slice(bytes.data, i), &quote, NULL), FL_OK);
    }
    assert_int_equal(fl_quote_verify(bytes, fl_buffer_slice(&signature), keys.ek.key, NULL),
                     FL_EAUTH);
    assert_int_equal(fl_quote_verify(bytes, fl_slice(changed, 10), keys.ak.key, NULL), FL_EPARSE);
    memcpy(changed, bytes.data, bytes.size);
    changed[0] = 0;
    assert_int_equal(fl_quote_read(fl_slice(changed, bytes.size), &quote, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "TPM_GENERATED");
    memcpy(changed, bytes.data, bytes.size);
    changed[5] = 0x17;
    assert_int_equal(fl_quote_read(fl_slice(changed, bytes.size), &quote, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "no quote");
    memcpy(changed, bytes.data, bytes.size);
    assert_int_equal(fl_quote_read(fl_slice(changed, bytes.size + 1), &quote, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "something follows");
    drop_keys(&keys);
    fl_buffer_free(&attest);
    fl_buffer_free(&signature);
    fl_tpm_attest_close(tpm);
}

static void a_public_area_cut_short_is_refused(void **state)
{
    struct fl_tpm_attest *tpm = open_it();
    struct keys keys;
    struct fl_tpm_public read;
    struct fl_slice area = {0};
    uint8_t changed[1024];

    (void)state;
    get_keys(tpm, &keys);
    area = fl_buffer_slice(&keys.ak_area);
    for (size_t i = 0; i < area.size; i++)
        assert_int_not_equal(fl_tpm_public_read(fl_slice(area.data, i), &read, NULL), FL_OK);
    memcpy(changed, area.data, area.size);
    changed[area.size - 1] ^= 1; /* not on the curve any more */
    assert_int_equal(fl_tpm_public_read(fl_slice(changed, area.size), &read, NULL), FL_EPARSE);
    memcpy(changed, area.data, area.size);
    changed[area.size] = 0;
    assert_int_equal(fl_tpm_public_read(fl_slice(changed, area.size + 1), &read, NULL), FL_EPARSE);
    drop_keys(&keys);
    fl_tpm_attest_close(tpm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_keys_come_out_every_time),
        cmocka_unit_test(a_credential_is_opened_by_its_tpm_for_its_key_only),
        cmocka_unit_test(a_credential_for_an_rsa_endorsement_key_is_opened),
        cmocka_unit_test(a_quote_is_what_the_tpm_has_and_nobody_can_change_it),
        cmocka_unit_test(a_public_area_cut_short_is_refused),
    };

    return cmocka_run_group_tests(tests, swtpm_set_up, swtpm_tear_down);
}
