/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/pki.h"

#include "base/log.h"
#include "signer/device_keys.h"
#include "signer/issue.h"
#include "signer/revocations.h"
#include "trust/crl.h"
#include "trust/issued_chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct pki pki;
static char dir[] = "/tmp/fl-signer-XXXXXX";
static char last_log[1024];
static const uint8_t data_key[FL_DATAKEY_SIZE] = {1, 2, 3};

static void listen_to_log(enum fl_log_level level, const char *tag, const char *text)
{
    (void)level;
    (void)snprintf(last_log, sizeof last_log, "%s: %s", tag, text);
}

static void put(const char *name, unsigned mode, struct fl_slice text)
{
    char path[256];
    FILE *file = NULL;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    (void)unlink(path);
    file = fopen(path, "w");
    assert_non_null(file);
    if (text.size)
        assert_int_equal(fwrite(text.data, 1, text.size, file), text.size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, (mode_t)mode), 0);
}

static void put_key(const char *name, unsigned mode, EVP_PKEY *key, const char *passphrase)
{
    struct fl_buffer pem = FL_BUFFER(4096);

    assert_ok(fl_key_to_pem(key, passphrase, &pem, NULL));
    put(name, mode, fl_buffer_slice(&pem));
    fl_buffer_free(&pem);
}

static void put_data_key(const uint8_t key[FL_DATAKEY_SIZE])
{
    struct fl_buffer pem = FL_BUFFER(4096);

    assert_ok(fl_datakey_to_pem(key, &pem, NULL));
    put("keys/data.key", 0600, fl_buffer_slice(&pem));
    fl_buffer_free(&pem);
}

static void put_certificates(const char *name, const struct fl_buffer *a, const struct fl_buffer *b)
{
    struct fl_buffer pem = FL_BUFFER(FL_LIMIT_CHAIN);

    assert_ok(fl_cert_to_pem(fl_buffer_slice(a), &pem, NULL));
    if (b)
        assert_ok(fl_cert_to_pem(fl_buffer_slice(b), &pem, NULL));
    put(name, 0644, fl_buffer_slice(&pem));
    fl_buffer_free(&pem);
}

/* A folder as `fairlead init` makes it. */
static void put_everything(void)
{
    put_key("keys/issuing.key", 0600, pki.issuing_key, NULL);
    put_data_key(data_key);
    put("keys/device-keys", 0600, fl_slice_str(""));
    put_certificates("keys/issuing.pem", &pki.issuing_der, NULL);
    put_certificates("keys/root.pem", &pki.root_der, NULL);
    put("hub.conf", 0644,
        fl_slice_str("# a comment\nhost hub.example.net 192.0.2.10\nmqtt 8883\nhttps 8443\n"));
}

static int set_up(void **state)
{
    char path[256];
    (void)state;

    pki_make(&pki);
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/keys", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/keys/issued", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    fl_log_set_writer(listen_to_log);
    return 0;
}

static int tear_down(void **state)
{
    char command[256];
    (void)state;

    fl_log_set_writer(NULL);
    pki_free(&pki);
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

static struct fl_buffer csr_for(const char *name)
{
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CSR);

    assert_ok(fl_csr_create(pki.key, name, &der, NULL));
    return der;
}

static struct fl_msg_sign sign_request(const char *kind, const char *name,
                                       const struct fl_buffer *csr)
{
    return (struct fl_msg_sign){.request = 7,
                                .kind = fl_slice_str(kind),
                                .name = fl_slice_str(name),
                                .validity_s = 7 * 24 * 3600,
                                .csr = fl_buffer_slice(csr)};
}

static void load(struct fl_signer *signer)
{
    struct fl_context ctx = {0};

    put_everything();
    if (fl_signer_load(signer, dir, PKI_NOW, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
}

static void a_device_gets_its_certificate_and_the_log_says_so(void **state)
{
    struct fl_buffer csr = csr_for("cam-01");
    struct fl_msg_sign request = sign_request("device", "cam-01", &csr);
    struct fl_signer_answer answer = {0};
    struct fl_cert_info info = {0};
    struct fl_signer signer;
    (void)state;

    load(&signer);
    fl_signer_answer(&signer, &request, PKI_NOW, 0, &answer);
    assert_int_equal(answer.result.error, FL_OK);
    assert_int_equal(answer.result.request, 7);
    assert_ok(fl_cert_read(answer.result.certificate, &info, NULL));
    assert_int_equal(info.kind, FL_CERT_DEVICE);
    assert_string_equal(info.name, "cam-01");
    assert_slice_equal(answer.result.serial, info.serial);
    assert_int_equal(answer.result.not_before, PKI_NOW - 300 * 1000);
    assert_int_equal(answer.result.not_after, PKI_NOW + 7 * PKI_DAY);
    assert_int_equal(info.not_after, answer.result.not_after);
    assert_contains(last_log, "issued kind=device name=cam-01 serial=");
    assert_contains(last_log, info.serial);
    fl_buffer_free(&answer.certificate);
    fl_buffer_free(&csr);
    fl_signer_free(&signer);
}

static void a_server_certificate_has_the_hosts_of_hub_conf_whatever_the_hub_says(void **state)
{
    struct fl_buffer csr = csr_for("hub.example.net");
    struct fl_msg_sign request = sign_request("server", "hub.example.net", &csr);
    struct fl_signer_answer answer = {0};
    X509 *certificate = NULL;
    struct fl_signer signer;
    (void)state;

    load(&signer);
    fl_signer_answer(&signer, &request, PKI_NOW, 0, &answer);
    assert_int_equal(answer.result.error, FL_OK);
    assert_ok(fl_cert_x509(answer.result.certificate, &certificate, NULL));
    assert_int_equal(X509_verify(certificate, X509_get0_pubkey(signer.issuing)), 1);
    X509_free(certificate);
    request.name = fl_slice_str("evil.example.net");
    fl_signer_answer(&signer, &request, PKI_NOW, 0, &answer);
    assert_int_equal(answer.result.error, FL_EDENIED);
    assert_int_equal(answer.result.certificate.size, 0);
    assert_int_equal(answer.result.serial.size, 0);
    assert_contains(answer.text.text, "not the first host of hub.conf");
    assert_contains(last_log, "refused kind=server name=evil.example.net");
    fl_buffer_free(&answer.certificate);
    fl_buffer_free(&csr);
    fl_signer_free(&signer);
}

static void a_hostile_request_is_answered_with_words_and_nothing_else(void **state)
{
    struct fl_buffer csr = csr_for("cam-01");
    struct fl_msg_sign request = sign_request("device", "cam-01", &csr);
    struct fl_signer_answer answer = {0};
    struct fl_signer signer;
    (void)state;

    load(&signer);
    request.csr = fl_slice_str("garbage");
    fl_signer_answer(&signer, &request, PKI_NOW, 0, &answer);
    assert_int_equal(answer.result.error, FL_EPARSE);
    request.csr = fl_buffer_slice(&csr);
    csr.data[csr.start + csr.size - 1] ^= 1;
    fl_signer_answer(&signer, &request, PKI_NOW, 0, &answer);
    assert_int_equal(answer.result.error, FL_EAUTH);
    csr.data[csr.start + csr.size - 1] ^= 1;
    request.name = fl_slice_str("x\n2026-01-01 forged line");
    fl_signer_answer(&signer, &request, PKI_NOW, 0, &answer);
    assert_int_equal(answer.result.error, FL_EDENIED);
    assert_null(strchr(last_log, '\n'));
    fl_buffer_free(&answer.certificate);
    fl_buffer_free(&csr);
    fl_signer_free(&signer);
}

/* --- the policy by itself --- */

static const char *const hosts[] = {"hub.example.net", "192.0.2.10"};
static const struct fl_signer_policy policy = {.hosts = hosts,
                                               .host_count = 2,
                                               .issuing_from = PKI_NOW - PKI_DAY,
                                               .issuing_until = PKI_NOW + 100 * PKI_DAY};

static enum fl_error judge(const char *kind, const char *name, const char *csr_name,
                           uint32_t validity_s, fl_time_t now, struct fl_signer_grant *grant)
{
    struct fl_msg_sign request = {
        .kind = fl_slice_str(kind), .name = fl_slice_str(name), .validity_s = validity_s};
    struct fl_signer_grant unused;
    struct fl_context ctx = {0};
    enum fl_error error =
        fl_signer_policy_judge(&policy, &request, csr_name, now, grant ? grant : &unused, &ctx);

    assert_true((error == FL_OK) == (ctx.text[0] == 0));
    return error;
}

static void only_devices_and_this_hub_get_certificates(void **state)
{
    static const char *kinds[] = {"", "root", "issuing", "DEVICE", "device ", "ca"};
    (void)state;

    assert_ok(judge("device", "cam-01", "cam-01", 3600, PKI_NOW, NULL));
    assert_ok(judge("device", "cam-01", "", 3600, PKI_NOW, NULL));
    assert_ok(judge("server", "hub.example.net", "hub.example.net", 3600, PKI_NOW, NULL));
    assert_ok(judge("server", "hub.example.net", "192.0.2.10", 3600, PKI_NOW, NULL));
    assert_ok(judge("server", "hub.example.net", "", 3600, PKI_NOW, NULL));
    assert_ok(judge("ocsp", "hub.example.net", "", 3600, PKI_NOW, NULL));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        assert_int_equal(judge(kinds[i], "cam-01", "", 3600, PKI_NOW, NULL), FL_EDENIED);
}

static void names_are_checked_whatever_the_hub_says(void **state)
{
    static const char *names[] = {"", "../x", "a b", "a\nb", "-a", "urn:x", "é"};
    char longest[FL_NAME_MAX + 2];
    (void)state;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(judge("device", names[i], "", 3600, PKI_NOW, NULL), FL_EDENIED);
    memset(longest, 'a', sizeof longest);
    longest[FL_NAME_MAX + 1] = 0;
    assert_int_equal(judge("device", longest, "", 3600, PKI_NOW, NULL), FL_EDENIED);
    longest[FL_NAME_MAX] = 0;
    assert_ok(judge("device", longest, "", 3600, PKI_NOW, NULL));
    assert_int_equal(judge("device", "cam-01", "cam-02", 3600, PKI_NOW, NULL), FL_EDENIED);
    assert_int_equal(judge("server", "192.0.2.10", "", 3600, PKI_NOW, NULL), FL_EDENIED);
    assert_int_equal(judge("server", "hub.example.net", "evil.net", 3600, PKI_NOW, NULL),
                     FL_EDENIED);
}

static void validity_has_bounds_and_ends_with_the_issuer(void **state)
{
    struct fl_signer_grant grant = {0};
    uint32_t most = FL_SIGNER_VALIDITY_MAX_S;
    (void)state;

    assert_int_equal(judge("device", "a", "", 3599, PKI_NOW, NULL), FL_EINVAL);
    assert_int_equal(judge("device", "a", "", 0, PKI_NOW, NULL), FL_EINVAL);
    assert_int_equal(judge("device", "a", "", most + 1, PKI_NOW, NULL), FL_EINVAL);
    assert_int_equal(judge("server", "hub.example.net", "", UINT32_MAX, PKI_NOW, NULL), FL_EINVAL);
    assert_ok(judge("device", "a", "", most, PKI_NOW, &grant));
    assert_int_equal(grant.not_after, PKI_NOW + 30 * PKI_DAY);
    assert_int_equal(grant.not_before, PKI_NOW - 300 * 1000);
    assert_ok(judge("device", "a", "", most, PKI_NOW + 90 * PKI_DAY, &grant));
    assert_int_equal(grant.not_after, policy.issuing_until);
    assert_ok(judge("device", "a", "", most, policy.issuing_until - 3600 * 1000, &grant));
    assert_int_equal(grant.not_after, policy.issuing_until);
    assert_int_equal(judge("device", "a", "", most, policy.issuing_until - 3599 * 1000, NULL),
                     FL_EEXPIRED);
    assert_int_equal(judge("device", "a", "", 3600, policy.issuing_from - 1, NULL), FL_ESTATE);
    /* What cannot be revoked is not for long. */
    assert_ok(judge("ocsp", "hub.example.net", "", 2 * 86400, PKI_NOW, NULL));
    assert_int_equal(judge("ocsp", "hub.example.net", "", 2 * 86400 + 1, PKI_NOW, NULL), FL_EINVAL);
    assert_int_equal(judge("ocsp", "cam-01", "", 86400, PKI_NOW, NULL), FL_EDENIED);
}

static enum fl_error judge_list(uint64_t number, uint32_t validity_s, fl_time_t now)
{
    struct fl_msg_crl_sign request = {.number = number, .validity_s = validity_s};
    struct fl_context ctx = {0};
    enum fl_error error = fl_signer_policy_judge_crl(&policy, &request, 7, now, &ctx);

    assert_true((error == FL_OK) == (ctx.text[0] == 0));
    return error;
}

static void lists_have_growing_numbers_and_hold_for_a_week_at_most(void **state)
{
    (void)state;
    assert_ok(judge_list(8, 86400, PKI_NOW));
    assert_int_equal(judge_list(7, 86400, PKI_NOW), FL_ESTATE);
    assert_int_equal(judge_list(UINT64_MAX, 86400, PKI_NOW), FL_ESTATE);
    assert_int_equal(judge_list(8, 3599, PKI_NOW), FL_EINVAL);
    assert_ok(judge_list(8, 7 * 86400, PKI_NOW));
    assert_int_equal(judge_list(8, 7 * 86400 + 1, PKI_NOW), FL_EINVAL);
    assert_int_equal(judge_list(8, 86400, policy.issuing_from - 1), FL_ESTATE);
    assert_int_equal(judge_list(8, 86400, policy.issuing_until), FL_EEXPIRED);
}

static enum fl_error ask_list(struct fl_signer *signer, struct fl_slice entries, uint64_t number,
                              struct fl_signer_list *list)
{
    struct fl_msg_crl_sign request = {.request = 9, .number = number, .validity_s = 86400};

    assert_ok(fl_signer_take_entries(signer, entries));
    fl_signer_answer_crl(signer, &request, PKI_NOW, 1000, list);
    assert_int_equal(list->result.request, 9);
    assert_true((list->result.error == FL_OK) == (list->der.size > 0));
    return (enum fl_error)list->result.error;
}

static void a_list_is_made_of_entries_and_of_nothing_else(void **state)
{
    struct fl_crl_entry entry = {.serial = {5}, .serial_size = 1, .at = PKI_NOW};
    struct fl_buffer entries = FL_BUFFER(64);
    struct fl_signer_list list = {0};
    struct fl_signer signer;
    const unsigned char *at = NULL;
    X509_CRL *crl = NULL;
    (void)state;

    load(&signer);
    assert_ok(fl_crl_put_entry(&entries, &entry));
    assert_int_equal(ask_list(&signer, fl_slice_str("rubbish, and long enough"), 1, &list),
                     FL_EPARSE);
    assert_non_null(strstr(last_log, "crl: refused revocation list number=1"));
    assert_ok(ask_list(&signer, fl_buffer_slice(&entries), 2, &list));
    assert_non_null(strstr(last_log, "crl: signed revocation list number=2"));
    at = fl_buffer_slice(&list.der).data;
    crl = d2i_X509_CRL(NULL, &at, (long)list.der.size);
    assert_int_equal(X509_CRL_verify(crl, pki.issuing_key), 1);
    assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), 1);
    X509_CRL_free(crl);
    /* The entries of one list are not in the next; a number is good once. */
    assert_int_equal(ask_list(&signer, fl_slice(NULL, 0), 2, &list), FL_ESTATE);
    assert_ok(ask_list(&signer, fl_slice(NULL, 0), 3, &list));
    at = fl_buffer_slice(&list.der).data;
    crl = d2i_X509_CRL(NULL, &at, (long)list.der.size);
    assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), -1);
    X509_CRL_free(crl);
    fl_buffer_free(&entries);
    fl_buffer_free(&list.der);
    fl_signer_free(&signer);
}

static void lists_are_made_at_a_limited_rate_and_are_limited(void **state)
{
    struct fl_signer_list list = {0};
    struct fl_signer signer;
    uint64_t made = 0;
    uint8_t some[4096] = {0};
    size_t taken = 0;
    (void)state;

    load(&signer);
    for (uint64_t i = 1; i <= FL_SIGNER_CRL_BURST + 5; i++)
        made += ask_list(&signer, fl_slice(NULL, 0), i, &list) == FL_OK;
    assert_int_equal(made, FL_SIGNER_CRL_BURST);
    while (fl_signer_take_entries(&signer, fl_slice(some, sizeof some)) == FL_OK)
        taken += sizeof some;
    assert_in_range(taken, (size_t)FL_LIMIT_CRL_ENTRIES * FL_LIMIT_CRL_ENTRY - sizeof some,
                    (size_t)FL_LIMIT_CRL_ENTRIES * FL_LIMIT_CRL_ENTRY);
    fl_buffer_free(&list.der);
    fl_signer_free(&signer);
}

static void a_status_url_of_hub_conf_is_in_device_certificates(void **state)
{
    struct fl_buffer csr = csr_for("cam-01");
    struct fl_msg_sign request = sign_request("device", "cam-01", &csr);
    struct fl_signer_answer answer = {0};
    struct fl_signer signer;
    struct fl_context ctx = {0};
    static const char url[] = "http://hub.example.net:8080/ocsp";
    (void)state;

    put_everything();
    put("hub.conf", 0644,
        fl_slice_str("host hub.example.net\nstatus-url http://hub.example.net:8080\n"));
    assert_ok(fl_signer_load(&signer, dir, PKI_NOW, NULL));
    fl_signer_answer(&signer, &request, PKI_NOW, 0, &answer);
    assert_int_equal(answer.result.error, FL_OK);
    assert_non_null(memmem(answer.result.certificate.data, answer.result.certificate.size, url,
                           sizeof url - 1));
    fl_signer_free(&signer);
    put("hub.conf", 0644, fl_slice_str("host a\nstatus-url http://a/path\n"));
    assert_int_equal(fl_signer_load(&signer, dir, PKI_NOW, &ctx), FL_EPARSE);
    assert_non_null(strstr(ctx.text, "status-url http://HOST:PORT"));
    fl_signer_free(&signer);
    fl_buffer_free(&answer.certificate);
    fl_buffer_free(&csr);
}

static void requests_beyond_the_rate_are_refused_until_time_passes(void **state)
{
    struct fl_signer_rate rate = {0};
    fl_time_t now = 123456;
    (void)state;

    for (int i = 0; i < FL_SIGNER_BURST; i++)
        assert_true(fl_signer_rate_take(&rate, now));
    assert_false(fl_signer_rate_take(&rate, now));
    assert_false(fl_signer_rate_take(&rate, now + 1)); /* half a request */
    assert_true(fl_signer_rate_take(&rate, now + 2));
    assert_false(fl_signer_rate_take(&rate, now + 2));
    assert_false(fl_signer_rate_take(&rate, now - 50)); /* a clock that goes back gives nothing */
    now += 1000;
    for (int i = 0; i < FL_SIGNER_RATE; i++)
        assert_true(fl_signer_rate_take(&rate, now));
    now += INT64_C(1000) * 3600 * 24 * 365 * 100;
    for (int i = 0; i < FL_SIGNER_BURST; i++)
        assert_true(fl_signer_rate_take(&rate, now));
    assert_false(fl_signer_rate_take(&rate, now));
}

static void a_busy_signer_says_so(void **state)
{
    struct fl_msg_sign request = {.kind = fl_slice_str("device"), .name = fl_slice_str("cam-01")};
    struct fl_signer_answer answer = {0};
    struct fl_signer signer;
    (void)state;

    load(&signer);
    for (int i = 0; i < FL_SIGNER_BURST; i++)
        assert_true(fl_signer_rate_take(&signer.rate, 0));
    fl_signer_answer(&signer, &request, PKI_NOW, 0, &answer);
    assert_int_equal(answer.result.error, FL_EBUSY);
    fl_buffer_free(&answer.certificate);
    fl_signer_free(&signer);
}

/* --- what it writes down --- */

/* Of the records from `after` on, those of a kind; the last of them, with its chain checked. */
static size_t count_records(struct fl_signer *signer, enum fl_issued_kind kind, uint64_t after,
                            struct fl_issued *last, struct fl_buffer *page)
{
    struct fl_issuance_place place = {.after = after};
    struct fl_issued_chain chain = {0};
    struct fl_issued record = {0};
    struct fl_slice in;
    size_t count = 0;

    *page = FL_BUFFER((size_t)1024 * 1024);
    assert_ok(fl_issuance_page(signer->ledger.log, &place, page, page->max, NULL));
    in = fl_buffer_slice(page);
    while (fl_issued_decode(&in, &record) == FL_OK) {
        assert_ok(fl_issued_follow(&chain, &record, signer->key, NULL));
        if (record.kind != kind)
            continue;
        *last = record;
        count++;
    }
    return count;
}

static void every_certificate_is_written_down_before_it_leaves(void **state)
{
    struct fl_buffer csr = csr_for("cam-01");
    struct fl_msg_sign request = sign_request("device", "cam-01", &csr);
    struct fl_signer_answer answer = {0};
    struct fl_cert_info info = {0};
    struct fl_issued record = {0};
    struct fl_buffer page;
    struct fl_signer signer;
    uint64_t before = 0;
    char serial[FL_LIMIT_SERIAL_HEX];
    (void)state;

    load(&signer);
    before = fl_issuance_last(signer.ledger.log);
    request.reason = fl_slice_str("renewal");
    fl_signer_answer(&signer, &request, PKI_NOW, 0, &answer);
    assert_int_equal(answer.result.error, FL_OK);
    assert_int_equal(count_records(&signer, FL_ISSUED_DEVICE, before, &record, &page), 0);
    fl_buffer_free(&page);
    assert_ok(fl_ledger_commit(&signer.ledger, PKI_NOW, NULL));
    assert_int_equal(count_records(&signer, FL_ISSUED_DEVICE, before, &record, &page), 1);
    assert_ok(fl_cert_read(answer.result.certificate, &info, NULL));
    fl_hex(serial, sizeof serial, record.serial);
    assert_string_equal(serial, info.serial);
    assert_memory_equal(record.sha256, info.sha256, sizeof record.sha256);
    assert_slice_equal(record.subject, "cam-01");
    assert_slice_equal(record.reason, "renewal");
    assert_int_equal(record.at, PKI_NOW);
    assert_int_equal(record.not_after, info.not_after);
    fl_buffer_free(&page);
    /* The end of the log is signed when it is asked for. */
    assert_true(fl_ledger_is_uncovered(&signer.ledger));
    assert_ok(fl_ledger_checkpoint(&signer.ledger, PKI_NOW, NULL));
    assert_false(fl_ledger_is_uncovered(&signer.ledger));
    assert_int_equal(count_records(&signer, FL_ISSUED_CHECKPOINT, before, &record, &page), 1);
    fl_buffer_free(&page);
    fl_buffer_free(&answer.certificate);
    fl_buffer_free(&csr);
    fl_signer_free(&signer);
}

static void refusals_are_written_down_and_over_their_rate_counted(void **state)
{
    struct fl_msg_sign request = {.kind = fl_slice_str("device"),
                                  .name = fl_slice_str("cam\n01"),
                                  .validity_s = 3600,
                                  .csr = fl_slice_str("garbage")};
    struct fl_signer_answer answer = {0};
    struct fl_issued record = {0};
    struct fl_buffer page;
    struct fl_signer signer;
    uint64_t before = 0;
    (void)state;

    load(&signer);
    before = fl_issuance_last(signer.ledger.log);
    for (int i = 0; i < FL_LEDGER_REFUSALS_BURST + 50; i++)
        fl_signer_answer(&signer, &request, PKI_NOW, 0, &answer);
    assert_ok(fl_ledger_commit(&signer.ledger, PKI_NOW, NULL));
    assert_int_equal(count_records(&signer, FL_ISSUED_REFUSED, before, &record, &page),
                     FL_LEDGER_REFUSALS_BURST);
    assert_int_equal(record.error, FL_EPARSE);
    assert_slice_equal(record.subject, "cam\\x0a01");
    assert_slice_equal(record.text, "not a PKCS #10 request");
    fl_buffer_free(&page);
    fl_signer_answer(&signer, &request, PKI_NOW, 2000, &answer);
    assert_ok(fl_ledger_commit(&signer.ledger, PKI_NOW, NULL));
    (void)count_records(&signer, FL_ISSUED_REFUSED, before, &record, &page);
    assert_int_equal(record.unrecorded, 50);
    fl_buffer_free(&page);
    fl_buffer_free(&answer.certificate);
    fl_signer_free(&signer);
}

/* A restart forgets neither: the log is read again. */
static void what_it_issued_binds_it_also_after_a_restart(void **state)
{
    struct fl_buffer csr = csr_for("");
    struct fl_msg_sign request = sign_request("device", "bound-01", &csr);
    struct fl_signer_answer answer = {0};
    struct fl_signer signer;
    (void)state;

    load(&signer);
    request.name = fl_slice_str("cam-01"); /* whose key it is since the tests before */
    for (int i = 0; answer.result.error == FL_OK; i++) {
        assert_true(i <= FL_HISTORY_HOUR);
        fl_signer_answer(&signer, &request, PKI_NOW, 0, &answer);
    }
    assert_int_equal(answer.result.error, FL_EBUSY);
    assert_in_range(answer.result.retry_after_s, 1, 3600);
    assert_ok(fl_ledger_commit(&signer.ledger, PKI_NOW, NULL));
    fl_signer_free(&signer);
    load(&signer);
    fl_signer_answer(&signer, &request, PKI_NOW, 0, &answer);
    assert_int_equal(answer.result.error, FL_EBUSY);
    request.name = fl_slice_str("bound-01");
    fl_signer_answer(&signer, &request, PKI_NOW, 0, &answer);
    assert_int_equal(answer.result.error, FL_EDENIED);
    assert_contains(answer.text.text, "certified for another device already");
    assert_int_equal(answer.result.certificate.size, 0);
    fl_buffer_free(&answer.certificate);
    fl_buffer_free(&csr);
    fl_signer_free(&signer);
}

/* --- what it loads --- */

static void expect_load(enum fl_error expected, const char *words)
{
    struct fl_signer signer;
    struct fl_context ctx = {0};

    assert_int_equal(fl_signer_load(&signer, dir, PKI_NOW, &ctx), expected);
    assert_contains(ctx.text, words);
    fl_signer_free(&signer);
    put_everything();
}

static void remove_file(const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(unlink(path), 0);
}

static void keys_that_do_not_belong_together_are_not_used(void **state)
{
    static const uint8_t large[FL_LIMIT_CERT + 1];
    (void)state;

    put_everything();
    put_key("keys/issuing.key", 0600, pki.root_key, NULL);
    expect_load(FL_EINVAL, "keys/issuing.key is not the key of keys/issuing.pem");
    put_key("keys/issuing.key", 0640, pki.issuing_key, NULL);
    expect_load(FL_EDENIED, "keys/issuing.key: others can read this key (mode 640)");
    put_key("keys/issuing.key", 0600, pki.issuing_key, "a passphrase");
    expect_load(FL_EAUTH, "keys/issuing.key: the key is sealed");
    put("keys/issuing.key", 0600, fl_slice_str("x"));
    expect_load(FL_EPARSE, "keys/issuing.key: not a private key");
    put("keys/issuing.key", 0600, fl_slice(large, sizeof large));
    expect_load(FL_ELIMIT, "keys/issuing.key: 16384 octets or more");
    remove_file("keys/issuing.key");
    expect_load(FL_ENOTFOUND, "keys/issuing.key: No such file");
    put("keys/data.key", 0604, fl_slice_str("x"));
    expect_load(FL_EDENIED, "keys/data.key: others can read this key (mode 604)");
    put("keys/data.key", 0600, fl_slice_str("x"));
    expect_load(FL_EPARSE, "keys/data.key: no data key in PEM");
    remove_file("keys/data.key");
    expect_load(FL_ENOTFOUND, "keys/data.key: No such file");
    remove_file("keys/device-keys");
    expect_load(FL_ENOTFOUND, "keys/device-keys");
    put_certificates("keys/issuing.pem", &pki.root_der, NULL);
    expect_load(FL_EINVAL, "keys/issuing.pem: not a certificate of the right kind");
    put_certificates("keys/issuing.pem", &pki.issuing_der, &pki.root_der);
    expect_load(FL_EPARSE, "keys/issuing.pem: more than one");
    put("keys/root.pem", 0644, fl_slice_str("nothing"));
    expect_load(FL_EPARSE, "keys/root.pem: no certificate");
}

static void an_issuing_certificate_of_another_root_is_not_used(void **state)
{
    struct pki other;
    (void)state;

    pki_make(&other);
    put_everything();
    put_certificates("keys/root.pem", &other.root_der, NULL);
    expect_load(FL_EAUTH, "not signed by keys/root.pem");
    pki_free(&other);
}

static void an_expired_issuing_certificate_is_not_used(void **state)
{
    struct fl_signer signer;
    struct fl_context ctx = {0};
    (void)state;

    put_everything();
    assert_int_equal(fl_signer_load(&signer, dir, PKI_NOW + 1825 * PKI_DAY, &ctx), FL_EEXPIRED);
    assert_contains(ctx.text, "keys/issuing.pem expired at 2031-11-21T08:00:00Z");
    fl_signer_free(&signer);
}

static void hosts_are_checked(void **state)
{
    struct fl_buffer many = FL_BUFFER(4096);
    (void)state;

    put_everything();
    put("hub.conf", 0644, fl_slice_str("mqtt 8883\n"));
    expect_load(FL_EPARSE, "hub.conf: no host");
    put("hub.conf", 0644, fl_slice_str("host hub.example.net *.example.net\n"));
    expect_load(FL_EPARSE, "hub.conf:1:22: neither a DNS name nor an address");
    put("hub.conf", 0644, fl_slice_str("host {\n"));
    expect_load(FL_EPARSE, "hub.conf:");
    remove_file("hub.conf");
    expect_load(FL_ENOTFOUND, "hub.conf: No such file");
    assert_ok(fl_buffer_append_str(&many, "host"));
    for (int i = 0; i <= FL_LIMIT_HOSTS; i++)
        assert_ok(fl_buffer_printf(&many, " h%d", i));
    put("hub.conf", 0644, fl_buffer_slice(&many));
    expect_load(FL_EPARSE, "more than 16 hosts");
    fl_buffer_free(&many);
}

static void a_root_key_within_reach_is_worth_a_warning(void **state)
{
    struct fl_signer signer;
    (void)state;

    last_log[0] = 0;
    load(&signer);
    assert_string_equal(last_log, "");
    fl_signer_free(&signer);
    put_key("keys/root.key", 0600, pki.root_key, NULL);
    load(&signer);
    assert_contains(last_log, "take it offline");
    fl_signer_free(&signer);
    remove_file("keys/root.key");
}

static struct fl_signer_key_answer ask_key(struct fl_signer *signer, const char *device,
                                           uint32_t generation, fl_time_t at)
{
    struct fl_msg msg = {.type = fl_msg_type_data_key};
    struct fl_signer_key_answer answer;

    msg.as.data_key.request = 3;
    msg.as.data_key.device = fl_slice_str(device);
    msg.as.data_key.generation = generation;
    msg.as.data_key.create = 1;
    fl_signer_answer_key(signer->keystore, &signer->key_rate, &msg, at, &answer);
    assert_int_equal(answer.result.request, 3);
    return answer;
}

static void a_devices_key_is_made_given_out_and_destroyed(void **state)
{
    struct fl_signer signer;
    struct fl_signer_key_answer answer;
    struct fl_msg erase = {.type = fl_msg_type_data_key_erase};
    uint8_t key[FL_DATAKEY_SIZE];
    (void)state;

    load(&signer);
    answer = ask_key(&signer, "cam-01", 1, 0);
    assert_int_equal(answer.result.error, FL_OK);
    assert_int_equal(answer.result.key.size, FL_DATAKEY_SIZE);
    memcpy(key, answer.key, sizeof key);
    fl_signer_free(&signer);
    assert_ok(fl_signer_load(&signer, dir, PKI_NOW, NULL));
    answer = ask_key(&signer, "cam-01", 1, 0);
    assert_memory_equal(answer.key, key, sizeof key);
    erase.as.data_key_erase.device = fl_slice_str("cam-01");
    fl_signer_answer_key(signer.keystore, &signer.key_rate, &erase, 0, &answer);
    assert_int_equal(answer.result.error, FL_OK);
    assert_int_equal(answer.result.erased, 1);
    assert_int_equal(answer.result.key.size, 0);
    assert_contains(last_log, "destroyed the key of cam-01, generation 1");
    answer = ask_key(&signer, "cam-01", 1, 0);
    assert_int_equal(answer.result.error, FL_EEXPIRED);
    assert_int_equal(answer.result.erased, 1);
    assert_int_equal(answer.result.key.size, 0);
    assert_int_equal(ask_key(&signer, "cam 01", 1, 0).result.error, FL_EINVAL);
    erase.as.data_key_erase.device = fl_slice_str("cam\n01");
    fl_signer_answer_key(signer.keystore, &signer.key_rate, &erase, 0, &answer);
    assert_int_equal(answer.result.error, FL_EINVAL);
    assert_contains(last_log, "cam\\x0a01");
    fl_signer_free(&signer);
}

static void keys_are_given_out_at_a_limited_rate(void **state)
{
    struct fl_signer signer;
    struct fl_msg erase = {.type = fl_msg_type_data_key_erase};
    struct fl_signer_key_answer answer;
    size_t given = 0;
    (void)state;

    load(&signer);
    for (int i = 0; i < FL_SIGNER_KEY_BURST + 100; i++)
        given += ask_key(&signer, "cam-01", 1, 1000).result.error == FL_OK;
    assert_int_equal(given, FL_SIGNER_KEY_BURST);
    assert_int_equal(ask_key(&signer, "cam-01", 1, 1000).result.error, FL_EBUSY);
    /* Erasing is not held up by it. */
    erase.as.data_key_erase.device = fl_slice_str("cam-01");
    fl_signer_answer_key(signer.keystore, &signer.key_rate, &erase, 1000, &answer);
    assert_int_equal(answer.result.error, FL_OK);
    assert_int_equal(ask_key(&signer, "cam-01", 2, 2000).result.error, FL_OK);
    fl_signer_free(&signer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_devices_key_is_made_given_out_and_destroyed),
        cmocka_unit_test(keys_are_given_out_at_a_limited_rate),
        cmocka_unit_test(a_device_gets_its_certificate_and_the_log_says_so),
        cmocka_unit_test(a_server_certificate_has_the_hosts_of_hub_conf_whatever_the_hub_says),
        cmocka_unit_test(a_hostile_request_is_answered_with_words_and_nothing_else),
        cmocka_unit_test(only_devices_and_this_hub_get_certificates),
        cmocka_unit_test(names_are_checked_whatever_the_hub_says),
        cmocka_unit_test(validity_has_bounds_and_ends_with_the_issuer),
        cmocka_unit_test(lists_have_growing_numbers_and_hold_for_a_week_at_most),
        cmocka_unit_test(a_list_is_made_of_entries_and_of_nothing_else),
        cmocka_unit_test(lists_are_made_at_a_limited_rate_and_are_limited),
        cmocka_unit_test(a_status_url_of_hub_conf_is_in_device_certificates),
        cmocka_unit_test(requests_beyond_the_rate_are_refused_until_time_passes),
        cmocka_unit_test(a_busy_signer_says_so),
        cmocka_unit_test(every_certificate_is_written_down_before_it_leaves),
        cmocka_unit_test(refusals_are_written_down_and_over_their_rate_counted),
        cmocka_unit_test(what_it_issued_binds_it_also_after_a_restart),
        cmocka_unit_test(keys_that_do_not_belong_together_are_not_used),
        cmocka_unit_test(an_issuing_certificate_of_another_root_is_not_used),
        cmocka_unit_test(an_expired_issuing_certificate_is_not_used),
        cmocka_unit_test(hosts_are_checked),
        cmocka_unit_test(a_root_key_within_reach_is_worth_a_warning),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
