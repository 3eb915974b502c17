/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/swtpm_rig.h"

#include "codec/tss2.h"
#include "io/tpm.h"

#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/ssl.h>

static struct fl_tpm *open_tpm(void)
{
    struct fl_context ctx = {0};
    struct fl_tpm *tpm = NULL;

    if (fl_tpm_open(swtpm.tcti, &tpm, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
    return tpm;
}

static EVP_PKEY *create_key(struct fl_tpm *tpm, struct fl_buffer *pem)
{
    struct fl_context ctx = {0};
    EVP_PKEY *key = NULL;

    if (fl_tpm_key_create(tpm, pem, &key, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
    return key;
}

/* Signs with `key`, checks with its public half alone. */
static bool signs(EVP_PKEY *key)
{
    static const char text[] = "a message";
    uint8_t signature[128];
    size_t size = sizeof signature;
    unsigned char *spki = NULL;
    const unsigned char *at = NULL;
    int spki_size = i2d_PUBKEY(key, &spki);
    EVP_PKEY *bare = NULL;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = false;

    at = spki;
    bare = d2i_PUBKEY(NULL, &at, spki_size);
    assert_non_null(bare);
    if (EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(md, signature, &size, (const uint8_t *)text, sizeof text) == 1) {
        EVP_MD_CTX_free(md);
        md = EVP_MD_CTX_new();
        assert_int_equal(EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, bare), 1);
        good = EVP_DigestVerify(md, signature, size, (const uint8_t *)text, sizeof text) == 1;
    }
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(bare);
    OPENSSL_free(spki);
    return good;
}

static void a_key_made_in_the_tpm_signs(void **state)
{
    struct fl_buffer pem = FL_BUFFER(4096);
    struct fl_tpm *tpm = open_tpm();
    EVP_PKEY *key = create_key(tpm, &pem);
    (void)state;

    assert_true(signs(key));
    assert_true(fl_tss2_is_pem(fl_buffer_slice(&pem)));
    EVP_PKEY_free(key);
    fl_tpm_close(tpm);
    fl_buffer_free(&pem);
}

static void a_key_file_is_loaded_again_as_the_same_key(void **state)
{
    struct fl_buffer pem = FL_BUFFER(4096);
    struct fl_tpm *tpm = open_tpm();
    EVP_PKEY *key = create_key(tpm, &pem);
    EVP_PKEY *loaded = NULL;
    struct fl_context ctx = {0};
    (void)state;

    EVP_PKEY_free(key);
    fl_tpm_close(tpm);
    tpm = open_tpm();
    assert_ok(fl_tpm_key_load(tpm, fl_buffer_slice(&pem), &loaded, &ctx));
    assert_true(signs(loaded));
    EVP_PKEY_free(loaded);
    fl_tpm_close(tpm);
    fl_buffer_free(&pem);
}

static void a_key_outlives_the_handle_it_was_loaded_through(void **state)
{
    struct fl_buffer pem = FL_BUFFER(4096);
    struct fl_tpm *tpm = open_tpm();
    EVP_PKEY *key = create_key(tpm, &pem);
    (void)state;

    fl_tpm_close(tpm);
    assert_true(signs(key));
    EVP_PKEY_free(key);
    fl_buffer_free(&pem);
}

/* Three transient slots: any leak shows by the fourth round. */
static void no_slot_of_the_tpm_is_leaked(void **state)
{
    struct fl_buffer pem = FL_BUFFER(4096);
    struct fl_tpm *tpm = open_tpm();
    EVP_PKEY *key = create_key(tpm, &pem);
    struct fl_context ctx = {0};
    (void)state;

    EVP_PKEY_free(key);
    for (int i = 0; i < 6; i++) {
        assert_ok(fl_tpm_key_load(tpm, fl_buffer_slice(&pem), &key, &ctx));
        assert_true(signs(key));
        fl_tpm_release(tpm);
        assert_true(signs(key));
        EVP_PKEY_free(key);
    }
    fl_tpm_close(tpm);
    fl_buffer_free(&pem);
}

/* A program killed in the middle of a handshake leaves its key loaded. */
static void slots_left_by_killed_programs_are_taken_back(void **state)
{
    struct fl_buffer pem = FL_BUFFER(4096);
    struct fl_tpm *tpm = open_tpm();
    EVP_PKEY *key = create_key(tpm, &pem);
    struct fl_context ctx = {0};
    (void)state;

    EVP_PKEY_free(key);
    fl_tpm_close(tpm);
    for (int i = 0; i < 4; i++) {
        int status = 0;
        pid_t child = fork();

        if (child == 0) {
            if (fl_tpm_open(swtpm.tcti, &tpm, &ctx) == FL_OK &&
                fl_tpm_key_load(tpm, fl_buffer_slice(&pem), &key, &ctx) == FL_OK)
                (void)raise(SIGKILL);
            print_error("%s\n", ctx.text);
            _exit(1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
    }
    tpm = open_tpm();
    assert_ok(fl_tpm_key_load(tpm, fl_buffer_slice(&pem), &key, &ctx));
    assert_true(signs(key));
    EVP_PKEY_free(key);
    fl_tpm_close(tpm);
    fl_buffer_free(&pem);
}

static void a_restarted_tpm_is_opened_again_by_the_next_signature(void **state)
{
    struct fl_buffer pem = FL_BUFFER(4096);
    struct fl_tpm *tpm = open_tpm();
    EVP_PKEY *key = create_key(tpm, &pem);
    (void)state;

    assert_true(signs(key));
    stop_swtpm();
    assert_false(signs(key));
    assert_contains(fl_tpm_last_failure(tpm), swtpm.tcti);
    start_swtpm();
    assert_true(signs(key));
    assert_string_equal(fl_tpm_last_failure(tpm), "");
    EVP_PKEY_free(key);
    fl_tpm_close(tpm);
    fl_buffer_free(&pem);
}

static void a_cleared_tpm_refuses_its_old_keys_with_words(void **state)
{
    struct fl_buffer pem = FL_BUFFER(4096);
    struct fl_tpm *tpm = open_tpm();
    EVP_PKEY *key = create_key(tpm, &pem);
    struct fl_context ctx = {0};
    (void)state;

    EVP_PKEY_free(key);
    fl_tpm_close(tpm);
    stop_swtpm();
    forget_state();
    start_swtpm();
    tpm = open_tpm();
    assert_int_equal(fl_tpm_key_load(tpm, fl_buffer_slice(&pem), &key, &ctx), FL_EAUTH);
    assert_contains(ctx.text, "cleared");
    fl_tpm_close(tpm);
    fl_buffer_free(&pem);
}

static void a_wrong_tcti_is_an_error_with_words(void **state)
{
    struct fl_tpm *tpm = NULL;
    struct fl_context ctx = {0};
    char long_one[1024];
    (void)state;

    assert_int_equal(fl_tpm_open("nonsense:x", &tpm, &ctx), FL_ENOTFOUND);
    assert_contains(ctx.text, "nonsense:x");
    assert_int_equal(fl_tpm_open("swtpm:host=127.0.0.1,port=1", &tpm, &ctx), FL_ENOTFOUND);
    assert_int_equal(fl_tpm_open("swtpm:host=127.0.0.1,port=99999", &tpm, &ctx), FL_ENOTFOUND);
    assert_int_equal(fl_tpm_open("device:/dev/null-tpm", &tpm, &ctx), FL_ENOTFOUND);
    memset(long_one, 'x', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = 0;
    assert_int_equal(fl_tpm_open(long_one, &tpm, &ctx), FL_ELIMIT);
    assert_null(tpm);
    assert_null(fl_tpm_tcti("file.pem"));
    assert_string_equal(fl_tpm_tcti("tpm:device:/dev/tpmrm0"), "device:/dev/tpmrm0");
}

static void a_tpm_held_by_another_program_times_out_with_words(void **state)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(swtpm.port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct fl_tpm *tpm = NULL;
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(connect(holder, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(fl_tpm_open(swtpm.tcti, &tpm, &ctx), FL_ETIMEOUT);
    assert_contains(ctx.text, "another program");
    (void)close(holder);
    tpm = open_tpm();
    fl_tpm_close(tpm);
}

static void damaged_key_files_are_refused(void **state)
{
    struct fl_buffer pem = FL_BUFFER(4096);
    struct fl_tpm *tpm = open_tpm();
    EVP_PKEY *key = create_key(tpm, &pem);
    struct fl_context ctx = {0};
    struct fl_slice whole = fl_buffer_slice(&pem);
    (void)state;

    EVP_PKEY_free(key);
    key = NULL;
    for (size_t cut = 0; cut < whole.size - 2; cut += 7)
        assert_int_equal(fl_tpm_key_load(tpm, fl_slice(whole.data, cut), &key, &ctx), FL_EPARSE);
    for (size_t at = 40; at < whole.size - 40; at += 5) {
        uint8_t before = pem.data[pem.start + at];

        pem.data[pem.start + at] = before == 'A' ? 'B' : 'A';
        if (before != '\n')
            assert_int_not_equal(fl_tpm_key_load(tpm, whole, &key, &ctx), FL_OK);
        pem.data[pem.start + at] = before;
    }
    assert_null(key);
    fl_tpm_close(tpm);
    fl_buffer_free(&pem);
}

/* --- In TLS ------------------------------------------------------------------------------------
 */

static X509 *self_signed(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);

    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 7), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), -60));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600));
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)"cam-01", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(certificate, name), 1);
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    assert_int_not_equal(X509_sign(certificate, key, EVP_sha256()), 0);
    return certificate;
}

static SSL_CTX *tls13(const SSL_METHOD *side, EVP_PKEY *key, X509 *certificate, X509 *trusted)
{
    SSL_CTX *tls = SSL_CTX_new(side);

    assert_int_equal(SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION), 1);
    assert_int_equal(SSL_CTX_use_certificate(tls, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
    assert_int_equal(SSL_CTX_check_private_key(tls), 1);
    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(tls), trusted), 1);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return tls;
}

static bool shake_hands(SSL_CTX *server_side, SSL_CTX *client_side)
{
    SSL *server = SSL_new(server_side);
    SSL *client = SSL_new(client_side);
    BIO *one = NULL;
    BIO *two = NULL;
    int done = 0;

    assert_int_equal(BIO_new_bio_pair(&one, 0, &two, 0), 1);
    SSL_set_bio(server, one, one);
    SSL_set_bio(client, two, two);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    for (int i = 0; i < 20 && done != 2; i++)
        done = (SSL_do_handshake(client) == 1) + (SSL_do_handshake(server) == 1);
    SSL_free(server);
    SSL_free(client);
    return done == 2;
}

static void a_tpm_key_authenticates_both_sides_of_tls_13(void **state)
{
    struct fl_buffer pem = FL_BUFFER(4096);
    struct fl_tpm *tpm = open_tpm();
    EVP_PKEY *device_key = create_key(tpm, &pem);
    EVP_PKEY *hub_key = EVP_EC_gen("P-256");
    X509 *device = self_signed(device_key);
    X509 *hub = self_signed(hub_key);
    SSL_CTX *server = tls13(TLS_server_method(), hub_key, hub, device);
    SSL_CTX *client = tls13(TLS_client_method(), device_key, device, hub);
    struct timespec start = {0};
    struct timespec end = {0};
    (void)state;

    assert_true(shake_hands(server, client));
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &start), 0);
    for (int i = 0; i < 10; i++)
        assert_true(shake_hands(server, client));
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &end), 0);
    print_message(
        "          a handshake with a TPM key: %.1f ms\n",
        ((double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6) /
            10);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    X509_free(hub);
    X509_free(device);
    EVP_PKEY_free(hub_key);
    EVP_PKEY_free(device_key);
    fl_tpm_close(tpm);
    fl_buffer_free(&pem);
}

static bool swtpm_is_installed(void)
{
    static const char *const folders[] = {"/usr/bin", "/usr/local/bin"};
    char path[64];

    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/swtpm", folders[i]);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_made_in_the_tpm_signs),
        cmocka_unit_test(a_key_file_is_loaded_again_as_the_same_key),
        cmocka_unit_test(a_key_outlives_the_handle_it_was_loaded_through),
        cmocka_unit_test(no_slot_of_the_tpm_is_leaked),
        cmocka_unit_test(slots_left_by_killed_programs_are_taken_back),
        cmocka_unit_test(a_restarted_tpm_is_opened_again_by_the_next_signature),
        cmocka_unit_test(a_cleared_tpm_refuses_its_old_keys_with_words),
        cmocka_unit_test(a_wrong_tcti_is_an_error_with_words),
        cmocka_unit_test(a_tpm_held_by_another_program_times_out_with_words),
        cmocka_unit_test(damaged_key_files_are_refused),
        cmocka_unit_test(a_tpm_key_authenticates_both_sides_of_tls_13),
    };

    if (!swtpm_is_installed()) {
        (void)printf("skipped: swtpm is not installed (tools/setup installs it)\n");
        return 0;
    }
    return cmocka_run_group_tests_name("tpm", tests, swtpm_set_up, swtpm_tear_down);
}
