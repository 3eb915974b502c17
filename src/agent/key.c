/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/key.h"

#include "base/log.h"
#include "trust/key.h"

/* --- Making ------------------------------------------------------------------------------------
 */

enum fl_error fl_agent_key_where(const char *where, struct fl_context *ctx)
{
    if (fl_pkcs11_uri(where))
        return fl_pkcs11_uri_has_pin(where)
                   ? fl_fail(ctx, FL_EINVAL,
                             "a PIN on the command line can be read by everybody on this machine: "
                             "put it into a file (chmod 600) and say pin-source=file:/PATH instead "
                             "of pin-value")
                   : FL_OK;
    if (strcmp(where, "file") == 0 || fl_tpm_tcti(where))
        return FL_OK;
    return fl_fail(ctx, FL_EINVAL, "the key is 'file', 'tpm:TCTI' or 'pkcs11:...', not '%s'",
                   where);
}

static enum fl_error make_in_file(struct fl_self *identity, struct fl_agent_key *key,
                                  struct fl_context *ctx)
{
    enum fl_error error = fl_key_generate(&key->key, ctx);

    return error ? error : fl_key_to_pem(key->key, NULL, &identity->key_pem, ctx);
}

static enum fl_error make_in_tpm(struct fl_self *identity, struct fl_agent_key *key,
                                 struct fl_context *ctx)
{
    enum fl_error error = fl_tpm_open(identity->key_where, &key->tpm, ctx);

    return error ? error : fl_tpm_key_create(key->tpm, &identity->key_pem, &key->key, ctx);
}

static enum fl_error make_in_token(struct fl_self *identity, struct fl_agent_key *key,
                                   struct fl_context *ctx)
{
    enum fl_error error = fl_pkcs11_open(identity->key_where, &key->token, ctx);

    return error ? error : fl_pkcs11_key_create(key->token, &identity->key_pem, &key->key, ctx);
}

/* One that was put there before belongs to whoever put it. */
static enum fl_error find_or_make_in_token(struct fl_self *identity, struct fl_agent_key *key,
                                           struct fl_context *ctx)
{
    enum fl_error error = fl_pkcs11_open(identity->key_where, &key->token, ctx);

    if (error)
        return error;
    error = fl_pkcs11_key_load(key->token, &identity->key_pem, &key->key, ctx);
    identity->key_found = error == FL_OK;
    if (error == FL_ENOTFOUND || error == FL_EEXISTS)
        error = fl_pkcs11_key_create(key->token, &identity->key_pem, &key->key, ctx);
    return error;
}

enum fl_error fl_agent_key_make(const char *where, struct fl_self *identity,
                                struct fl_agent_key *key, struct fl_context *ctx)
{
    const char *tcti = fl_tpm_tcti(where);
    const char *uri = fl_pkcs11_uri(where);
    enum fl_error error = fl_agent_key_where(where, ctx);

    if (error)
        return error;
    identity->key_place = tcti ? FL_KEY_TPM : uri ? FL_KEY_PKCS11 : FL_KEY_FILE;
    if (!fl_str_copy(identity->key_where, sizeof identity->key_where, tcti ? tcti : uri ? uri : ""))
        error = fl_fail(ctx, FL_ELIMIT, "the name of the key's place is too long");
    else if (identity->key_place == FL_KEY_TPM)
        error = make_in_tpm(identity, key, ctx);
    else if (identity->key_place == FL_KEY_PKCS11)
        error = find_or_make_in_token(identity, key, ctx);
    else
        error = make_in_file(identity, key, ctx);
    if (error)
        fl_agent_key_free(key);
    return error;
}

/* --- Renewing ----------------------------------------------------------------------------------
 */

static void take_over(const struct fl_self *current, struct fl_self *next)
{
    (void)fl_str_copy(next->device, sizeof next->device, current->device);
    (void)fl_str_copy(next->host, sizeof next->host, current->host);
    (void)fl_str_copy(next->key_where, sizeof next->key_where, current->key_where);
    next->mqtt_port = current->mqtt_port;
    next->https_port = current->https_port;
    next->key_place = current->key_place;
    next->key_found = current->key_found;
    next->renew_percent = current->renew_percent;
    next->renew_same_key = current->renew_same_key;
}

enum fl_error fl_agent_key_next(const struct fl_self *current, struct fl_self *next,
                                struct fl_agent_key *key, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    take_over(current, next);
    if (current->renew_same_key || current->key_found) {
        error = fl_buffer_append_slice(&next->key_pem, fl_buffer_slice(&current->key_pem));
        if (!error)
            error = fl_agent_key_load(next, key, ctx);
    } else if (current->key_place == FL_KEY_TPM) {
        error = make_in_tpm(next, key, ctx);
    } else if (current->key_place == FL_KEY_PKCS11) {
        error = make_in_token(next, key, ctx);
    } else {
        error = make_in_file(next, key, ctx);
    }
    if (error)
        fl_agent_key_free(key);
    return error;
}

static enum fl_error destroy_in_token(const struct fl_self *identity, struct fl_context *ctx)
{
    struct fl_buffer uri = FL_BUFFER(FL_LIMIT_PKCS11_URI + 1);
    struct fl_pkcs11 *token = NULL;
    enum fl_error error = fl_buffer_append_slice(&uri, fl_buffer_slice(&identity->key_pem));
    const char *text = error ? NULL : fl_buffer_str(&uri);

    error = text ? fl_pkcs11_open(text, &token, ctx) : FL_ELIMIT;
    if (!error)
        error = fl_pkcs11_key_destroy(token, ctx);
    fl_pkcs11_close(token);
    fl_buffer_free(&uri);
    return error;
}

void fl_agent_key_retire(const struct fl_self *identity, const struct fl_self *other)
{
    struct fl_context ctx = {0};

    if (identity->key_place != FL_KEY_PKCS11 || identity->key_found ||
        fl_slice_equal(fl_buffer_slice(&identity->key_pem), fl_buffer_slice(&other->key_pem)))
        return;
    if (destroy_in_token(identity, &ctx) != FL_OK)
        fl_log(FL_LOG_WARN, "key", "a key that is not used any more stays in the token: %s",
               ctx.text);
}

/* --- Using -------------------------------------------------------------------------------------
 */

static enum fl_error load_from_token(const struct fl_self *identity, struct fl_agent_key *key,
                                     struct fl_context *ctx)
{
    struct fl_buffer uri = FL_BUFFER(FL_LIMIT_PKCS11_URI + 1);
    enum fl_error error = fl_buffer_append_slice(&uri, fl_buffer_slice(&identity->key_pem));
    const char *text = error ? NULL : fl_buffer_str(&uri);

    error = text ? fl_pkcs11_open(text, &key->token, ctx)
                 : fl_fail(ctx, FL_ELIMIT, "the PKCS #11 URI in it is too long");
    if (!error)
        error = fl_pkcs11_key_load(key->token, NULL, &key->key, ctx);
    fl_buffer_free(&uri);
    return error;
}

enum fl_error fl_agent_key_load(const struct fl_self *identity, struct fl_agent_key *key,
                                struct fl_context *ctx)
{
    struct fl_slice pem = fl_buffer_slice(&identity->key_pem);
    enum fl_error error = FL_OK;

    if (identity->key_place == FL_KEY_TPM) {
        error = fl_tpm_open(identity->key_where, &key->tpm, ctx);
        if (!error)
            error = fl_tpm_key_load(key->tpm, pem, &key->key, ctx);
    } else if (identity->key_place == FL_KEY_PKCS11) {
        error = load_from_token(identity, key, ctx);
    } else {
        error = fl_key_from_pem(pem, NULL, &key->key, ctx);
    }
    if (error)
        fl_agent_key_free(key);
    return error ? fl_fail_in(ctx, error, "key.pem") : FL_OK;
}

void fl_agent_key_release(struct fl_agent_key *key)
{
    fl_tpm_release(key->tpm);
    fl_pkcs11_release(key->token);
}

void fl_agent_key_free(struct fl_agent_key *key)
{
    EVP_PKEY_free(key->key);
    fl_tpm_close(key->tpm);
    fl_pkcs11_close(key->token);
    *key = (struct fl_agent_key){0};
}

const char *fl_agent_key_kind(const struct fl_self *identity)
{
    static const char *const kinds[] = {"file", "tpm", "pkcs11"};

    return kinds[identity->key_place];
}

const char *fl_agent_key_place_words(const struct fl_self *identity)
{
    static const char *const words[] = {"key.pem", "the TPM", "the token"};

    return words[identity->key_place];
}
