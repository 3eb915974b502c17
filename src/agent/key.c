/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/key.h"

#include "trust/key.h"

static enum fl_error make_in_tpm(const char *tcti, struct fl_self *identity,
                                 struct fl_agent_key *key, struct fl_context *ctx)
{
    enum fl_error error = fl_tpm_open(tcti, &key->tpm, ctx);

    identity->in_tpm = true;
    if (!error && !fl_str_copy(identity->tcti, sizeof identity->tcti, tcti))
        error = fl_fail(ctx, FL_ELIMIT, "the TCTI is too long");
    if (!error)
        error = fl_tpm_key_create(key->tpm, &identity->key_pem, &key->key, ctx);
    return error;
}

enum fl_error fl_agent_key_make(const char *where, struct fl_self *identity,
                                struct fl_agent_key *key, struct fl_context *ctx)
{
    const char *tcti = fl_tpm_tcti(where);
    enum fl_error error = FL_OK;

    if (tcti) {
        error = make_in_tpm(tcti, identity, key, ctx);
    } else if (strcmp(where, "file") == 0) {
        error = fl_key_generate(&key->key, ctx);
        if (!error)
            error = fl_key_to_pem(key->key, NULL, &identity->key_pem, ctx);
    } else {
        error = fl_fail(ctx, FL_EINVAL, "the key is 'file' or 'tpm:TCTI', not '%s'", where);
    }
    if (error)
        fl_agent_key_free(key);
    return error;
}

enum fl_error fl_agent_key_load(const struct fl_self *identity, struct fl_agent_key *key,
                                struct fl_context *ctx)
{
    struct fl_slice pem = fl_buffer_slice(&identity->key_pem);
    enum fl_error error = FL_OK;

    if (identity->in_tpm) {
        error = fl_tpm_open(identity->tcti, &key->tpm, ctx);
        if (!error)
            error = fl_tpm_key_load(key->tpm, pem, &key->key, ctx);
    } else {
        error = fl_key_from_pem(pem, NULL, &key->key, ctx);
    }
    if (error)
        fl_agent_key_free(key);
    return error ? fl_fail_in(ctx, error, "key.pem") : FL_OK;
}

void fl_agent_key_free(struct fl_agent_key *key)
{
    EVP_PKEY_free(key->key);
    fl_tpm_close(key->tpm);
    *key = (struct fl_agent_key){0};
}
