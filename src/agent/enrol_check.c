/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/enrol.h"

#include "base/base64.h"
#include "trust/key.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

void fl_enrol_words(struct fl_slice body, char to[256])
{
    static const char member[] = "\"detail\":";
    const uint8_t *at = body.size ? memmem(body.data, body.size, member, sizeof member - 1) : NULL;
    struct fl_slice text = body;

    if (at) {
        text = fl_slice_from(body, (size_t)(at - body.data) + sizeof member - 1);
        (void)fl_slice_cut(&text, '"', &body);
        (void)fl_slice_cut(&text, '"', &body);
        text = body;
    }
    if (text.size > 200)
        text.size = 200;
    while (text.size && isspace(text.data[text.size - 1]))
        text.size--;
    (void)fl_str_printable(to, 256, text);
}

enum fl_error fl_enrol_token(const struct fl_token *token, fl_time_t now, struct fl_context *ctx)
{
    char then_text[FL_TIME_TEXT_MAX];
    char now_text[FL_TIME_TEXT_MAX];

    if (token->kind != FL_TOKEN_DEVICE)
        return fl_fail(ctx, FL_EINVAL,
                       "this token is for an administrator, not for a device (fairlead device add "
                       "makes one for a device)");
    if (now >= token->expires)
        return fl_fail(
            ctx, FL_EEXPIRED,
            "the token expired at %s and this machine's clock says %s: ask for a new one, "
            "or set the clock",
            fl_time_format(token->expires, then_text), fl_time_format(now, now_text));
    return FL_OK;
}

static enum fl_error decode_answer(struct fl_slice answer, struct fl_buffer *der,
                                   struct fl_context *ctx)
{
    if (fl_base64_decode(answer, der) != FL_OK || der->size == 0)
        return fl_fail(ctx, FL_EPARSE, "the hub's answer is not base64");
    return FL_OK;
}

struct picking {
    const uint8_t *sha256;
    struct fl_buffer *root_pem;
    struct fl_buffer *chain_pem;
    struct fl_context *ctx;
    bool found;
};

static enum fl_error pick(void *to, struct fl_slice der)
{
    struct picking *p = to;
    uint8_t hash[FL_SHA256_SIZE];

    fl_sha256(der, hash);
    if (!fl_slice_equal(fl_slice(hash, sizeof hash), fl_slice(p->sha256, FL_SHA256_SIZE)))
        return fl_cert_to_pem(der, p->chain_pem, p->ctx);
    if (p->found)
        return FL_OK;
    p->found = true;
    return fl_cert_to_pem(der, p->root_pem, p->ctx);
}

enum fl_error fl_enrol_pick_root(struct fl_slice answer, const uint8_t sha256[32],
                                 struct fl_buffer *root_pem, struct fl_buffer *chain_pem,
                                 struct fl_context *ctx)
{
    struct picking p = {.sha256 = sha256, .root_pem = root_pem, .chain_pem = chain_pem, .ctx = ctx};
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CHAIN);
    enum fl_error error = decode_answer(answer, &der, ctx);

    if (!error)
        error = fl_pkcs7_each(fl_buffer_slice(&der), pick, &p, ctx);
    if (!error && !p.found)
        error =
            fl_fail(ctx, FL_EAUTH,
                    "the root certificate it shows is not the one that the token names: this is "
                    "another hub, or someone is between us and it. Nothing was sent");
    fl_buffer_free(&der);
    return error;
}

/* --- What was issued ---------------------------------------------------------------------------
 */

struct accepting {
    EVP_PKEY *key;
    X509 *leaf; /* the certificate for our key */
    struct fl_buffer *cert_pem;
    struct fl_context *ctx;
};

static enum fl_error find_leaf(void *to, struct fl_slice der)
{
    struct accepting *a = to;
    X509 *certificate = NULL;
    enum fl_error error = fl_cert_x509(der, &certificate, a->ctx);

    if (error)
        return error;
    if (!a->leaf && EVP_PKEY_eq(X509_get0_pubkey(certificate), a->key) == 1) {
        a->leaf = certificate;
        return fl_cert_to_pem(der, a->cert_pem, a->ctx);
    }
    X509_free(certificate);
    return FL_OK;
}

struct gathering {
    STACK_OF(X509) * list;
    X509_STORE *store; /* or the list */
    struct fl_context *ctx;
};

static enum fl_error gather(void *to, struct fl_slice der)
{
    struct gathering *g = to;
    X509 *certificate = NULL;
    enum fl_error error = fl_cert_x509(der, &certificate, g->ctx);
    bool added = false;

    if (error)
        return error;
    if (g->store) {
        added = X509_STORE_add_cert(g->store, certificate) == 1;
        X509_free(certificate);
    } else {
        added = sk_X509_push(g->list, certificate) > 0;
        if (!added)
            X509_free(certificate);
    }
    return added ? FL_OK : fl_crypto_fail(g->ctx, "certificate");
}

/* Times are judged apart, with words about the clock. */
static enum fl_error verify_chain(X509 *leaf, struct fl_slice root_pem, struct fl_slice chain_pem,
                                  struct fl_context *ctx)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *verifying = X509_STORE_CTX_new();
    STACK_OF(X509) *list = sk_X509_new_null();
    struct gathering roots = {.store = store, .ctx = ctx};
    struct gathering others = {.list = list, .ctx = ctx};
    enum fl_error error = FL_ENOMEM;

    if (!store || !verifying || !list)
        goto out;
    error = fl_cert_each_pem(root_pem, gather, &roots, ctx);
    if (!error)
        error = fl_cert_each_pem(chain_pem, gather, &others, ctx);
    if (error)
        goto out;
    if (X509_STORE_set_flags(store, X509_V_FLAG_NO_CHECK_TIME) != 1 ||
        X509_STORE_CTX_init(verifying, store, leaf, list) != 1)
        error = fl_crypto_fail(ctx, "certificate");
    else if (X509_verify_cert(verifying) != 1)
        error = fl_fail(ctx, FL_EAUTH, "the issued certificate does not lead to the hub's root: %s",
                        X509_verify_cert_error_string(X509_STORE_CTX_get_error(verifying)));
out:
    ERR_clear_error();
    sk_X509_pop_free(list, X509_free);
    X509_STORE_CTX_free(verifying);
    X509_STORE_free(store);
    return error;
}

/* A clock that is a little behind the hub's does no harm: the hub judges the certificate by its
 * own. */
enum { SKEW_MS = 5 * 60 * 1000 };

static enum fl_error judge(const struct fl_cert_info *info, const char *device, fl_time_t now,
                           struct fl_context *ctx)
{
    char then_text[FL_TIME_TEXT_MAX];
    char now_text[FL_TIME_TEXT_MAX];
    bool early = now + SKEW_MS < info->not_before;

    if (info->kind != FL_CERT_DEVICE)
        return fl_fail(ctx, FL_EPARSE, "the hub issued a certificate that is not a device's");
    if (strcmp(info->name, device) != 0)
        return fl_fail(ctx, FL_EAUTH, "the hub issued a certificate for '%s', not for '%s'",
                       info->name, device);
    if (early || now >= info->not_after)
        return fl_fail(ctx, FL_EEXPIRED,
                       "the certificate is valid %s %s but this machine's clock says %s: set the "
                       "clock and enrol again with a new token",
                       early ? "from" : "until",
                       fl_time_format(early ? info->not_before : info->not_after, then_text),
                       fl_time_format(now, now_text));
    return FL_OK;
}

enum fl_error fl_enrol_accept(struct fl_slice answer, EVP_PKEY *key, const char *device,
                              struct fl_slice root_pem, struct fl_slice chain_pem, fl_time_t now,
                              struct fl_buffer *cert_pem, struct fl_cert_info *info,
                              struct fl_context *ctx)
{
    struct accepting a = {.key = key, .cert_pem = cert_pem, .ctx = ctx};
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CHAIN);
    enum fl_error error = decode_answer(answer, &der, ctx);

    if (!error)
        error = fl_pkcs7_each(fl_buffer_slice(&der), find_leaf, &a, ctx);
    if (!error && !a.leaf)
        error = fl_fail(ctx, FL_EAUTH, "the hub's answer has no certificate for our key");
    if (!error)
        error = fl_cert_read_x509(a.leaf, info, ctx);
    if (!error)
        error = judge(info, device, now, ctx);
    if (!error)
        error = verify_chain(a.leaf, root_pem, chain_pem, ctx);
    X509_free(a.leaf);
    fl_buffer_free(&der);
    return error;
}
