/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "agent/enrol.h"
#include "agent/self.h"
#include "base/base64.h"
#include "test/twin/files_twin.h"
#include "trust/key.h"

#include <stdio.h>

/* --- The folder --------------------------------------------------------------------------------
 */

static void fill(struct fl_self *identity, const char *mark)
{
    struct fl_buffer *parts[] = {&identity->key_pem, &identity->cert_pem, &identity->chain_pem,
                                 &identity->ca_pem};

    fl_self_init(identity);
    (void)fl_str_copy(identity->device, sizeof identity->device, "cam-01");
    (void)fl_str_copy(identity->host, sizeof identity->host, mark);
    identity->mqtt_port = 8883;
    identity->https_port = 8443;
    for (size_t i = 0; i < 4; i++)
        assert_ok(fl_buffer_printf(parts[i], "%s %zu %s", mark, i,
                                   *mark == 'n' ? "" : "and something longer than the new one"));
}

/* Every part carries the same mark. */
static void check_whole(const struct fl_self *identity)
{
    const struct fl_buffer *parts[] = {&identity->key_pem, &identity->cert_pem,
                                       &identity->chain_pem, &identity->ca_pem};
    size_t size = strlen(identity->host);

    for (size_t i = 0; i < 4; i++) {
        assert_true(parts[i]->size > size);
        assert_memory_equal(fl_buffer_slice(parts[i]).data, identity->host, size);
    }
}

static void an_identity_is_replaced_whole_or_not_at_all(enum fl_files_twin_crash kind,
                                                        bool enrolled_before)
{
    bool crashed = true;
    size_t old_seen = 0;
    size_t new_seen = 0;

    for (uint64_t step = 1; crashed; step++) {
        struct fl_files_twin *twin = fl_files_twin_new(step);
        struct fl_files files = fl_files_twin_files(twin);
        struct fl_self old = {0};
        struct fl_self fresh = {0};
        struct fl_self read = {0};
        struct fl_context ctx = {0};
        enum fl_error saved = FL_OK;
        enum fl_error loaded = FL_OK;

        fill(&old, "old");
        fill(&fresh, "new");
        fl_self_init(&read);
        if (enrolled_before)
            assert_ok(fl_self_save(&files, &old, &ctx));
        (void)fl_files_twin_changes(twin);
        fl_files_twin_crash_at(twin, step);
        saved = fl_self_save(&files, &fresh, &ctx);
        crashed = saved != FL_OK;
        fl_files_twin_restart(twin, kind);
        loaded = fl_self_load(&files, &read, &ctx);
        if (loaded == FL_OK)
            check_whole(&read);
        else
            assert_true(loaded == FL_ENOTFOUND && !enrolled_before && crashed);
        if (!crashed)
            assert_string_equal(read.host, "new");
        old_seen += loaded != FL_OK || strcmp(read.host, "old") == 0;
        new_seen += loaded == FL_OK && strcmp(read.host, "new") == 0;
        fl_self_free(&read);
        fl_self_free(&fresh);
        fl_self_free(&old);
        fl_files_twin_free(twin);
    }
    assert_true(old_seen > 3 && new_seen > 3);
}

static void a_power_cut_leaves_the_old_identity_or_the_new_one(void **state)
{
    (void)state;
    an_identity_is_replaced_whole_or_not_at_all(FL_TWIN_POWER, true);
    an_identity_is_replaced_whole_or_not_at_all(FL_TWIN_POWER, false);
}

static void a_kill_leaves_the_old_identity_or_the_new_one(void **state)
{
    (void)state;
    an_identity_is_replaced_whole_or_not_at_all(FL_TWIN_KILL, true);
    an_identity_is_replaced_whole_or_not_at_all(FL_TWIN_KILL, false);
}

/* At each moment the present identity is whole, and the next one whole or not there. */
static void a_renewal_is_kept_whole_or_not_at_all(enum fl_files_twin_crash kind, bool promote,
                                                  bool after_another)
{
    bool crashed = true;
    size_t seen[3] = {0}; /* neither, the next, promoted */

    for (uint64_t step = 1; crashed; step++) {
        struct fl_files_twin *twin = fl_files_twin_new(step);
        struct fl_files files = fl_files_twin_files(twin);
        struct fl_self old = {0};
        struct fl_self fresh = {0};
        struct fl_self read = {0};
        struct fl_self next = {0};
        struct fl_context ctx = {0};
        enum fl_error done = FL_OK;
        enum fl_error loaded = FL_OK;

        fill(&old, "old");
        fill(&fresh, "new");
        fl_self_init(&read);
        fl_self_init(&next);
        assert_ok(fl_self_save(&files, &old, &ctx));
        if (after_another)
            assert_ok(fl_self_next_save(&files, &old, &ctx));
        if (promote)
            assert_ok(fl_self_next_save(&files, &fresh, &ctx));
        fl_files_twin_crash_at(twin, step);
        done = promote ? fl_self_next_promote(&files, &fresh, &ctx)
                       : fl_self_next_save(&files, &fresh, &ctx);
        crashed = done != FL_OK;
        fl_files_twin_restart(twin, kind);
        assert_ok(fl_self_load(&files, &read, &ctx));
        assert_string_equal(read.host, "old"); /* agent.conf is not touched */
        loaded = fl_self_next_load(&files, &next, &ctx);
        assert_true(loaded == FL_OK || loaded == FL_ENOTFOUND);
        if (loaded == FL_OK) {
            const char *mark =
                memcmp(fl_buffer_slice(&next.key_pem).data, "new", 3) == 0 ? "new" : "old";
            assert_true(after_another || strcmp(mark, "new") == 0);
            (void)fl_str_copy(next.host, sizeof next.host, mark);
            check_whole(&next);
        }
        (void)fl_str_copy(read.host, sizeof read.host,
                          memcmp(fl_buffer_slice(&read.key_pem).data, "new", 3) == 0 ? "new"
                                                                                     : "old");
        check_whole(&read);
        assert_true(promote || strcmp(read.host, "old") == 0);
        if (!crashed)
            assert_string_equal(promote ? read.host : next.host, "new");
        /* Nothing of the renewal is lost before it is in its place. */
        if (promote && strcmp(read.host, "old") == 0)
            assert_true(loaded == FL_OK);
        seen[strcmp(read.host, "new") == 0 ? 2 : loaded == FL_OK]++;
        fl_self_free(&next);
        fl_self_free(&read);
        fl_self_free(&fresh);
        fl_self_free(&old);
        fl_files_twin_free(twin);
    }
    assert_true(promote ? seen[1] > 3 && seen[2] > 3 : seen[0] > 3 && seen[1] > 0);
}

static void a_crash_leaves_the_present_identity_and_a_whole_next_one_or_none(void **state)
{
    (void)state;
    for (int promote = 0; promote < 2; promote++)
        for (int another = 0; another < 2; another++) {
            a_renewal_is_kept_whole_or_not_at_all(FL_TWIN_POWER, promote, another);
            a_renewal_is_kept_whole_or_not_at_all(FL_TWIN_KILL, promote, another);
        }
}

/* --- agent.conf --------------------------------------------------------------------------------
 */

static void agent_conf_comes_back_as_it_was_written(void **state)
{
    struct fl_self identity = {.device = "cam-01",
                               .host = "2001:db8::1",
                               .mqtt_port = 1,
                               .https_port = 65535,
                               .key_place = FL_KEY_TPM,
                               .renew_percent = 33,
                               .renew_same_key = true,
                               .key_where = "swtpm:host=127.0.0.1,port=2321 \"\\#{}"};
    struct fl_self read = {0};
    struct fl_buffer text = FL_BUFFER(4096);
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(fl_self_to_conf(&identity, &text, &ctx));
    if (fl_self_from_conf(fl_buffer_slice(&text), &read, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
    assert_string_equal(read.device, identity.device);
    assert_string_equal(read.host, identity.host);
    assert_string_equal(read.key_where, identity.key_where);
    assert_int_equal(read.mqtt_port, 1);
    assert_int_equal(read.https_port, 65535);
    assert_int_equal(read.key_place, FL_KEY_TPM);
    assert_int_equal(read.renew_percent, 33);
    assert_true(read.renew_same_key);
    identity.key_where[0] = '\n';
    assert_int_equal(fl_self_to_conf(&identity, &text, &ctx), FL_EINVAL);
    fl_buffer_free(&text);
}

static void a_wrong_agent_conf_is_told_with_its_place(void **state)
{
    static const char *const bad[][2] = {
        {"hub h\nmqtt 1\nhttps 1\nkey file\n", "device"},
        {"device a/b\nhub h\nmqtt 1\nhttps 1\nkey file\n", "agent.conf:1:8"},
        {"device d\nhub \"\"\nmqtt 1\nhttps 1\nkey file\n", "agent.conf:2"},
        {"device d\nhub \"a b\"\nmqtt 1\nhttps 1\nkey file\n", "agent.conf:2"},
        {"device d\nhub h\nmqtt 0\nhttps 1\nkey file\n", "agent.conf:3:6"},
        {"device d\nhub h\nmqtt 1\nhttps 65536\nkey file\n", "agent.conf:4:7"},
        {"device d\nhub h\nmqtt 1\nhttps 1\nkey tpm\n", "agent.conf:5"},
        {"device d\nhub h\nmqtt 1\nhttps 1\nkey file x\n", "agent.conf:5"},
        {"device d\nhub h\nmqtt 1\nhttps 1\nkey stone\n", "agent.conf:5"},
        {"device d\nhub h\nmqtt 1\nhttps 1\nkey file\nfoo 1\n", "agent.conf:6"},
        {"device d {\n", "agent.conf"},
        {"device d\nhub h\nmqtt 1\nhttps 1\nkey file found\n", "agent.conf:5"},
        {"device d\nhub h\nmqtt 1\nhttps 1\nkey tpm x found\n", "agent.conf:5"},
        {"device d\nhub h\nmqtt 1\nhttps 1\nkey pkcs11 x lost\n", "agent.conf:5"},
        {"device d\nhub h\nmqtt 1\nhttps 1\nkey file\nrenew-at 71%\n", "agent.conf:6:10"},
        {"device d\nhub h\nmqtt 1\nhttps 1\nkey file\nrenew-at 0\n", "agent.conf:6:10"},
        {"device d\nhub h\nmqtt 1\nhttps 1\nkey file\nrenew-key old\n", "agent.conf:6:11"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fl_self read = {0};
        struct fl_context ctx = {0};

        assert_int_equal(fl_self_from_conf(fl_slice_str(bad[i][0]), &read, &ctx), FL_EPARSE);
        assert_contains(ctx.text, bad[i][1]);
    }
}

/* --- What a hub answers ------------------------------------------------------------------------
 */

#define NOW 1763800000000

static struct {
    EVP_PKEY *root_key;
    EVP_PKEY *issuing_key;
    EVP_PKEY *key; /* ours */
    struct fl_buffer root;
    struct fl_buffer issuing;
    struct fl_buffer other_root;
    struct fl_buffer root_pem;
    struct fl_buffer chain_pem;
} pki;

static void issue(enum fl_cert_kind kind, const char *name, EVP_PKEY *subject,
                  const struct fl_buffer *issuer, EVP_PKEY *issuer_key, struct fl_buffer *der)
{
    struct fl_context ctx = {0};
    struct fl_cert_request request = {.kind = kind,
                                      .name = name,
                                      .not_before = NOW - 60000,
                                      .not_after = NOW + 3600000,
                                      .subject_key = subject,
                                      .issuer_key = issuer_key};

    if (issuer)
        assert_ok(fl_cert_x509(fl_buffer_slice(issuer), &request.issuer, &ctx));
    if (fl_cert_issue(&request, der, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
    X509_free(request.issuer);
}

static int set_up_pki(void **state)
{
    struct fl_context ctx = {0};
    (void)state;

    pki.root = pki.issuing = pki.other_root = FL_BUFFER(FL_LIMIT_CERT);
    pki.root_pem = pki.chain_pem = FL_BUFFER(FL_LIMIT_CHAIN);
    assert_ok(fl_key_generate(&pki.root_key, &ctx));
    assert_ok(fl_key_generate(&pki.issuing_key, &ctx));
    assert_ok(fl_key_generate(&pki.key, &ctx));
    issue(FL_CERT_ROOT, "Root", pki.root_key, NULL, pki.root_key, &pki.root);
    issue(FL_CERT_ROOT, "Root", pki.key, NULL, pki.key, &pki.other_root);
    issue(FL_CERT_ISSUING, "Issuing", pki.issuing_key, &pki.root, pki.root_key, &pki.issuing);
    assert_ok(fl_cert_to_pem(fl_buffer_slice(&pki.root), &pki.root_pem, &ctx));
    assert_ok(fl_cert_to_pem(fl_buffer_slice(&pki.issuing), &pki.chain_pem, &ctx));
    return 0;
}

static int tear_down_pki(void **state)
{
    (void)state;
    EVP_PKEY_free(pki.root_key);
    EVP_PKEY_free(pki.issuing_key);
    EVP_PKEY_free(pki.key);
    fl_buffer_free(&pki.root);
    fl_buffer_free(&pki.issuing);
    fl_buffer_free(&pki.other_root);
    fl_buffer_free(&pki.root_pem);
    fl_buffer_free(&pki.chain_pem);
    return 0;
}

/* base64 PKCS #7, in lines as a hub sends it */
static void answer_of(const struct fl_buffer *const *certificates, size_t count,
                      struct fl_buffer *answer)
{
    struct fl_slice slices[4];
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CHAIN);
    struct fl_context ctx = {0};

    for (size_t i = 0; i < count; i++)
        slices[i] = fl_buffer_slice(certificates[i]);
    assert_ok(fl_pkcs7_wrap(slices, count, &der, &ctx));
    assert_ok(fl_base64_encode(fl_buffer_slice(&der), 64, answer));
    fl_buffer_free(&der);
}

static void the_root_is_the_one_whose_hash_the_token_names(void **state)
{
    const struct fl_buffer *both[] = {&pki.issuing, &pki.root};
    const struct fl_buffer *wrong[] = {&pki.issuing, &pki.other_root};
    struct fl_buffer answer = FL_BUFFER(FL_LIMIT_CHAIN);
    struct fl_buffer root = FL_BUFFER(FL_LIMIT_CHAIN);
    struct fl_buffer chain = FL_BUFFER(FL_LIMIT_CHAIN);
    struct fl_context ctx = {0};
    uint8_t hash[32];
    (void)state;

    fl_sha256(fl_buffer_slice(&pki.root), hash);
    answer_of(both, 2, &answer);
    assert_ok(fl_enrol_pick_root(fl_buffer_slice(&answer), hash, &root, &chain, &ctx));
    assert_true(fl_slice_equal(fl_buffer_slice(&root), fl_buffer_slice(&pki.root_pem)));
    assert_true(fl_slice_equal(fl_buffer_slice(&chain), fl_buffer_slice(&pki.chain_pem)));

    fl_buffer_clear(&answer);
    answer_of(wrong, 2, &answer);
    assert_int_equal(fl_enrol_pick_root(fl_buffer_slice(&answer), hash, &root, &chain, &ctx),
                     FL_EAUTH);
    assert_contains(ctx.text, "between us");
    assert_int_equal(fl_enrol_pick_root(fl_slice_str("<html>"), hash, &root, &chain, &ctx),
                     FL_EPARSE);
    assert_int_not_equal(fl_enrol_pick_root(fl_slice_str("AAAA"), hash, &root, &chain, &ctx),
                         FL_OK);
    fl_buffer_free(&answer);
    fl_buffer_free(&root);
    fl_buffer_free(&chain);
}

static enum fl_error accept_one(const struct fl_buffer *certificate, const char *device,
                                fl_time_t now, struct fl_context *ctx)
{
    struct fl_buffer answer = FL_BUFFER(FL_LIMIT_CHAIN);
    struct fl_buffer pem = FL_BUFFER(FL_LIMIT_CHAIN);
    struct fl_cert_info info = {0};
    enum fl_error error = FL_OK;

    answer_of(&certificate, 1, &answer);
    error =
        fl_enrol_accept(fl_buffer_slice(&answer), pki.key, device, fl_buffer_slice(&pki.root_pem),
                        fl_buffer_slice(&pki.chain_pem), now, &pem, &info, ctx);
    fl_buffer_free(&answer);
    fl_buffer_free(&pem);
    return error;
}

static void only_a_certificate_for_our_key_and_id_is_accepted(void **state)
{
    struct fl_buffer good = FL_BUFFER(FL_LIMIT_CERT);
    struct fl_buffer other_key = FL_BUFFER(FL_LIMIT_CERT);
    struct fl_buffer server = FL_BUFFER(FL_LIMIT_CERT);
    struct fl_buffer foreign = FL_BUFFER(FL_LIMIT_CERT);
    struct fl_context ctx = {0};
    (void)state;

    issue(FL_CERT_DEVICE, "cam-01", pki.key, &pki.issuing, pki.issuing_key, &good);
    issue(FL_CERT_DEVICE, "cam-01", pki.root_key, &pki.issuing, pki.issuing_key, &other_key);
    issue(FL_CERT_ISSUING, "cam-01", pki.key, &pki.root, pki.root_key, &server);
    /* by a CA that only has our CA's name */
    issue(FL_CERT_DEVICE, "cam-01", pki.key, &pki.other_root, pki.key, &foreign);

    assert_ok(accept_one(&good, "cam-01", NOW, &ctx));
    assert_int_equal(accept_one(&good, "cam-02", NOW, &ctx), FL_EAUTH);
    assert_contains(ctx.text, "'cam-01', not for 'cam-02'");
    assert_int_equal(accept_one(&other_key, "cam-01", NOW, &ctx), FL_EAUTH);
    assert_contains(ctx.text, "our key");
    assert_int_equal(accept_one(&server, "cam-01", NOW, &ctx), FL_EPARSE);
    assert_int_equal(accept_one(&foreign, "cam-01", NOW, &ctx), FL_EAUTH);
    assert_contains(ctx.text, "does not lead to the hub's root");
    fl_buffer_free(&good);
    fl_buffer_free(&other_key);
    fl_buffer_free(&server);
    fl_buffer_free(&foreign);
}

static void a_wrong_clock_is_told_as_such(void **state)
{
    struct fl_buffer good = FL_BUFFER(FL_LIMIT_CERT);
    struct fl_token token = {.kind = FL_TOKEN_DEVICE, .expires = NOW};
    struct fl_context ctx = {0};
    (void)state;

    issue(FL_CERT_DEVICE, "cam-01", pki.key, &pki.issuing, pki.issuing_key, &good);
    assert_ok(accept_one(&good, "cam-01", NOW - 120000, &ctx)); /* a minute before it begins */
    assert_int_equal(accept_one(&good, "cam-01", 0, &ctx), FL_EEXPIRED);
    assert_contains(ctx.text, "1970-01-01T00:00:00Z: set the clock");
    assert_int_equal(accept_one(&good, "cam-01", NOW + 3600000, &ctx), FL_EEXPIRED);
    fl_buffer_free(&good);

    assert_ok(fl_enrol_token(&token, NOW - 1, &ctx));
    assert_int_equal(fl_enrol_token(&token, NOW, &ctx), FL_EEXPIRED);
    assert_contains(ctx.text, "set the clock");
    token.kind = FL_TOKEN_PRINCIPAL;
    assert_int_equal(fl_enrol_token(&token, NOW - 1, &ctx), FL_EINVAL);
    assert_contains(ctx.text, "administrator");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_leaves_the_old_identity_or_the_new_one),
        cmocka_unit_test(a_kill_leaves_the_old_identity_or_the_new_one),
        cmocka_unit_test(a_crash_leaves_the_present_identity_and_a_whole_next_one_or_none),
        cmocka_unit_test(agent_conf_comes_back_as_it_was_written),
        cmocka_unit_test(a_wrong_agent_conf_is_told_with_its_place),
        cmocka_unit_test(the_root_is_the_one_whose_hash_the_token_names),
        cmocka_unit_test(only_a_certificate_for_our_key_and_id_is_accepted),
        cmocka_unit_test(a_wrong_clock_is_told_as_such),
    };
    return cmocka_run_group_tests_name("agent_self", tests, set_up_pki, tear_down_pki);
}
