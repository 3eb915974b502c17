/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/pki.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct pki pki;

static int set_up(void **state)
{
    (void)state;
    pki_make(&pki);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pki_free(&pki);
    return 0;
}

static const char *const three_hosts[] = {"hub.example.net", "192.0.2.10", "2001:db8::1"};

static struct fl_cert_request server_request(void)
{
    struct fl_cert_request request = pki_request(&pki, FL_CERT_SERVER, three_hosts[0]);

    request.hosts = three_hosts;
    request.host_count = 3;
    return request;
}

static struct fl_cert_info issue_and_read(const struct fl_cert_request *request)
{
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CERT);
    struct fl_cert_info info = {0};

    assert_ok(fl_cert_issue(request, &der, NULL));
    assert_ok(fl_cert_read(fl_buffer_slice(&der), &info, NULL));
    fl_buffer_free(&der);
    return info;
}

static void assert_says(const struct fl_cert_request *request, const char *words, bool is_there)
{
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CERT);
    X509 *certificate = NULL;
    BIO *text = BIO_new(BIO_s_mem());
    char *data = NULL;
    long size = 0;

    assert_ok(fl_cert_issue(request, &der, NULL));
    assert_ok(fl_cert_x509(fl_buffer_slice(&der), &certificate, NULL));
    assert_int_equal(X509_print(text, certificate), 1);
    size = BIO_get_mem_data(text, &data);
    assert_int_equal(memmem(data, (size_t)size, words, strlen(words)) != NULL, is_there);
    BIO_free(text);
    X509_free(certificate);
    fl_buffer_free(&der);
}

static void a_device_certificate_says_where_its_status_is_when_there_is_such_a_place(void **state)
{
    struct fl_cert_request request = pki_request(&pki, FL_CERT_DEVICE, "cam-01");
    struct fl_cert_request server = server_request();
    (void)state;

    assert_says(&request, "Authority Information Access", false);
    request.status_url = "http://hub.example.net:8080";
    server.status_url = request.status_url;
    assert_says(&request, "URI:http://hub.example.net:8080/.well-known/fairlead/crl\n", true);
    assert_says(&request, "OCSP - URI:http://hub.example.net:8080/ocsp\n", true);
    assert_says(&request,
                "CA Issuers - URI:http://hub.example.net:8080/.well-known/fairlead/issuer", true);
    assert_says(&server, "hub.example.net:8080", false);
}

static void a_status_url_has_a_host_and_no_path(void **state)
{
    static const char *const good[] = {"http://hub.example.net", "http://hub.example.net:8080",
                                       "https://192.0.2.1:1", "http://[2001:db8::1]:65535",
                                       "http://[::1]"};
    static const char *const bad[] = {"",
                                      "hub.example.net",
                                      "ftp://hub.example.net",
                                      "http://",
                                      "http://:80",
                                      "http://hub.example.net/",
                                      "http://hub.example.net:0",
                                      "http://hub.example.net:65536",
                                      "http://hub.example.net:",
                                      "http://hub example",
                                      "http://2001:db8::1:80",
                                      "http://[hub.example.net]",
                                      "http://[::1]x",
                                      "http://[::1"};
    (void)state;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!fl_status_url_valid(good[i]))
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (fl_status_url_valid(bad[i]))
            fail_msg("%s", bad[i]);
}

static void a_responder_may_answer_ocsp_and_need_not_be_asked_about(void **state)
{
    struct fl_cert_request request = pki_request(&pki, FL_CERT_OCSP, "OCSP responder");
    struct fl_cert_info info = issue_and_read(&request);
    (void)state;

    assert_int_equal(info.kind, FL_CERT_OCSP);
    assert_string_equal(info.name, "OCSP responder");
    assert_says(&request, "OCSP Signing", true);
    assert_says(&request, "OCSP No Check", true);
    assert_says(&request, "CA:FALSE", true);
}

static void a_device_certificate_reads_back_as_it_was_issued(void **state)
{
    struct fl_cert_request request = pki_request(&pki, FL_CERT_DEVICE, "cam-01");
    struct fl_cert_info info = issue_and_read(&request);
    (void)state;

    assert_int_equal(info.kind, FL_CERT_DEVICE);
    assert_string_equal(info.name, "cam-01");
    assert_int_equal(strlen(info.serial), 32);
    assert_int_equal(info.not_before, PKI_NOW);
    assert_int_equal(info.not_after, PKI_NOW + 7 * PKI_DAY);
}

static void no_two_certificates_share_a_serial_number(void **state)
{
    struct fl_cert_request request = pki_request(&pki, FL_CERT_DEVICE, "cam-01");
    struct fl_cert_info a = issue_and_read(&request);
    struct fl_cert_info b = issue_and_read(&request);
    (void)state;

    assert_string_not_equal(a.serial, b.serial);
}

static void a_server_certificate_names_every_host(void **state)
{
    struct fl_cert_request request = server_request();
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CERT);
    struct fl_cert_info info = {0};
    X509 *certificate = NULL;
    (void)state;

    assert_ok(fl_cert_issue(&request, &der, NULL));
    assert_ok(fl_cert_read(fl_buffer_slice(&der), &info, NULL));
    assert_int_equal(info.kind, FL_CERT_SERVER);
    assert_string_equal(info.name, "hub.example.net");
    assert_ok(fl_cert_x509(fl_buffer_slice(&der), &certificate, NULL));
    assert_int_equal(X509_check_host(certificate, "hub.example.net", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(certificate, "192.0.2.10", 0), 1);
    assert_int_equal(X509_check_ip_asc(certificate, "2001:db8:0::1", 0), 1);
    assert_int_equal(X509_check_host(certificate, "other.example.net", 0, 0, NULL), 0);
    X509_free(certificate);
    fl_buffer_free(&der);
}

static void an_address_alone_can_be_a_server(void **state)
{
    static const char *const hosts[] = {"2001:DB8:0:0:0:0:0:1"};
    struct fl_cert_request request = server_request();
    (void)state;

    request.hosts = hosts;
    request.host_count = 1;
    request.name = hosts[0];
    assert_string_equal(issue_and_read(&request).name, "2001:DB8:0:0:0:0:0:1");
}

static void a_host_too_long_for_a_common_name_is_an_alternative_name(void **state)
{
    static const char host[] =
        "a-very-long-name-of-a-load-balancer-in-some-cloud-0123456789.region-"
        "with-a-long-name.example.net";
    static const char *const hosts[] = {host};
    struct fl_cert_request request = server_request();
    (void)state;

    request.hosts = hosts;
    request.host_count = 1;
    request.name = host;
    assert_string_equal(issue_and_read(&request).name, host);
}

static void authorities_read_back_as_what_they_are(void **state)
{
    struct fl_cert_info info = {0};
    (void)state;

    assert_ok(fl_cert_read(fl_buffer_slice(&pki.root_der), &info, NULL));
    assert_int_equal(info.kind, FL_CERT_ROOT);
    assert_string_equal(info.name, "Test root");
    assert_ok(fl_cert_read(fl_buffer_slice(&pki.issuing_der), &info, NULL));
    assert_int_equal(info.kind, FL_CERT_ISSUING);
    assert_int_equal(info.not_after, PKI_NOW + 1825 * PKI_DAY);
}

static enum fl_error issue(const struct fl_cert_request *request, struct fl_context *ctx)
{
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CERT);
    enum fl_error error = fl_cert_issue(request, &der, ctx);

    fl_buffer_free(&der);
    return error;
}

static void what_must_not_be_issued_is_not(void **state)
{
    struct fl_cert_request request = {0};
    struct fl_context ctx = {0};
    EVP_PKEY *weak = EVP_RSA_gen(1024);
    (void)state;

    request = pki_request(&pki, FL_CERT_DEVICE, "../etc");
    assert_int_equal(issue(&request, &ctx), FL_EINVAL);
    assert_contains(ctx.text, "not a device id");
    request = pki_request(&pki, FL_CERT_DEVICE, "cam-01");
    request.not_after = request.not_before;
    assert_int_equal(issue(&request, &ctx), FL_EINVAL);
    request = pki_request(&pki, FL_CERT_DEVICE, "cam-01");
    request.not_after = PKI_NOW + 1826 * PKI_DAY;
    assert_int_equal(issue(&request, &ctx), FL_EINVAL);
    assert_contains(ctx.text, "outlive its issuer");
    request = pki_request(&pki, FL_CERT_DEVICE, "cam-01");
    request.not_after = FL_TIME_NEVER;
    assert_int_equal(issue(&request, &ctx), FL_EINVAL);
    request = pki_request(&pki, FL_CERT_DEVICE, "cam-01");
    request.issuer_key = pki.root_key;
    assert_int_equal(issue(&request, &ctx), FL_EINVAL);
    assert_contains(ctx.text, "not that of its certificate");
    request = pki_request(&pki, FL_CERT_DEVICE, "cam-01");
    request.issuer = NULL;
    assert_int_equal(issue(&request, &ctx), FL_EINVAL);
    request = pki_request(&pki, FL_CERT_ROOT, "second root");
    assert_int_equal(issue(&request, &ctx), FL_EINVAL);
    request = pki_request(&pki, FL_CERT_DEVICE, "cam-01");
    request.subject_key = weak;
    assert_int_equal(issue(&request, &ctx), FL_EDENIED);
    EVP_PKEY_free(weak);
}

static void a_server_needs_proper_hosts(void **state)
{
    static const char *const bad[] = {"",        "-a",  "a-",         "a..b",   "a b",
                                      "*.a.net", "a_b", "10.0.0.256", "a.net.", "x.123",
                                      "1.2.3",   "::g", "a/b",        "[::1]",  "a\nb"};
    static const char *const good[] = {"a", "A.b", "x1.example", "127.0.0.1", "::1", "1a.b2"};
    struct fl_cert_request request = server_request();
    const char *hosts[FL_LIMIT_HOSTS + 1];
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *const one[] = {bad[i]};

        assert_false(fl_host_valid(bad[i]));
        request.hosts = one;
        request.name = one[0];
        request.host_count = 1;
        assert_int_equal(issue(&request, NULL), FL_EINVAL);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(fl_host_valid(good[i]));
    for (size_t i = 0; i < FL_LIMIT_HOSTS + 1; i++)
        hosts[i] = "a";
    request.hosts = hosts;
    request.name = "a";
    request.host_count = FL_LIMIT_HOSTS;
    assert_ok(issue(&request, NULL));
    request.host_count = FL_LIMIT_HOSTS + 1;
    assert_int_equal(issue(&request, NULL), FL_EINVAL);
    request.host_count = 0;
    assert_int_equal(issue(&request, NULL), FL_EINVAL);
    request.host_count = 1;
    request.name = "b";
    assert_int_equal(issue(&request, NULL), FL_EINVAL);
}

/* A certificate made by hand, for what fl_cert_issue would never make. */
struct handmade {
    const char *common_name;
    const char *second_common_name;
    const char *alternative;
    const char *purposes;
    const char *constraints;
    const char *usage;
    const char *twice; /* this alternative name as a second extension */
    long version;
    bool negative_serial;
};

static void add_conf(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = value ? X509V3_EXT_conf_nid(NULL, NULL, nid, value) : NULL;

    if (!value)
        return;
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void add_name(X509_NAME *name, const char *text)
{
    if (text)
        assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                                    (const unsigned char *)text, -1, -1, 0),
                         1);
}

static enum fl_error read_handmade(const struct handmade *made, struct fl_context *ctx)
{
    X509 *certificate = X509_new();
    struct fl_cert_info info = {0};
    unsigned char *der = NULL;
    int size = 0;
    enum fl_error error = FL_OK;

    assert_int_equal(X509_set_version(certificate, made->version), 1);
    assert_int_equal(
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), made->negative_serial ? -5 : 5), 1);
    assert_non_null(ASN1_TIME_set(X509_getm_notBefore(certificate), PKI_NOW / 1000));
    assert_non_null(ASN1_TIME_set(X509_getm_notAfter(certificate), PKI_NOW / 1000 + 60));
    add_name(X509_get_subject_name(certificate), made->common_name);
    add_name(X509_get_subject_name(certificate), made->second_common_name);
    assert_int_equal(X509_set_issuer_name(certificate, X509_get_subject_name(pki.issuing)), 1);
    assert_int_equal(X509_set_pubkey(certificate, pki.key), 1);
    add_conf(certificate, NID_basic_constraints, made->constraints);
    add_conf(certificate, NID_key_usage, made->usage);
    add_conf(certificate, NID_ext_key_usage, made->purposes);
    add_conf(certificate, NID_subject_alt_name, made->alternative);
    add_conf(certificate, NID_subject_alt_name, made->twice);
    assert_true(X509_sign(certificate, pki.issuing_key, EVP_sha256()) > 0);
    size = i2d_X509(certificate, &der);
    assert_true(size > 0);
    error = fl_cert_read(fl_slice(der, (size_t)size), &info, ctx);
    OPENSSL_free(der);
    X509_free(certificate);
    return error;
}

#define DEVICE_URN "URI:urn:fairlead:device:"

static void certificates_whose_names_disagree_are_refused(void **state)
{
    static const struct handmade cases[] = {
        {.common_name = "cam-02", .alternative = DEVICE_URN "cam-01", .purposes = "clientAuth"},
        {.alternative = DEVICE_URN "cam-01", .purposes = "clientAuth"},
        {.common_name = "cam-01", .alternative = "URI:urn:other:cam-01", .purposes = "clientAuth"},
        {.common_name = "cam-01", .alternative = "DNS:cam-01", .purposes = "clientAuth"},
        {.common_name = "cam-01", .purposes = "clientAuth"},
        {.common_name = "cam-01", .alternative = DEVICE_URN, .purposes = "clientAuth"},
        {.common_name = "a/b", .alternative = DEVICE_URN "a/b", .purposes = "clientAuth"},
        {.common_name = "cam-01",
         .alternative = DEVICE_URN "cam-01," DEVICE_URN "cam-02",
         .purposes = "clientAuth"},
        {.common_name = "cam-01",
         .alternative = DEVICE_URN "cam-01",
         .twice = DEVICE_URN "cam-02",
         .purposes = "clientAuth"},
        {.common_name = "cam-01",
         .second_common_name = "cam-02",
         .alternative = DEVICE_URN "cam-01",
         .purposes = "clientAuth"},
        {.common_name = "a.net", .alternative = "DNS:b.net", .purposes = "serverAuth"},
        {.common_name = "a.net", .alternative = "DNS:a.net,URI:x:y", .purposes = "serverAuth"},
        {.common_name = "*.a.net", .alternative = "DNS:*.a.net", .purposes = "serverAuth"},
        {.common_name = "192.0.2.1",
         .alternative = "DNS:a.net,IP:192.0.2.2",
         .purposes = "serverAuth"},
    };
    struct handmade good = {.common_name = "cam-01",
                            .alternative = DEVICE_URN "cam-01",
                            .purposes = "clientAuth",
                            .version = X509_VERSION_3};
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(read_handmade(&good, &ctx));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct handmade made = cases[i];

        made.version = X509_VERSION_3;
        ctx.text[0] = 0;
        if (read_handmade(&made, &ctx) != FL_EPARSE || ctx.text[0] == 0)
            fail_msg("case %zu was not refused: %s", i, ctx.text);
    }
}

static void certificates_of_other_kinds_are_refused(void **state)
{
    static const struct handmade cases[] = {
        {.version = X509_VERSION_3},
        {.version = X509_VERSION_3, .purposes = "clientAuth,serverAuth"},
        {.version = X509_VERSION_3, .purposes = "codeSigning"},
        {.version = X509_VERSION_3, .purposes = "clientAuth", .negative_serial = true},
        {.version = X509_VERSION_1, .purposes = "clientAuth"},
        {.version = X509_VERSION_3, .constraints = "critical,CA:TRUE"},
        {.version = X509_VERSION_3,
         .constraints = "critical,CA:TRUE,pathlen:0",
         .usage = "digitalSignature"},
        {.version = X509_VERSION_3,
         .constraints = "critical,CA:TRUE,pathlen:3",
         .usage = "keyCertSign"},
        {.version = X509_VERSION_3,
         .constraints = "critical,CA:TRUE,pathlen:1",
         .usage = "keyCertSign"},
        {.version = X509_VERSION_3, .constraints = "critical,CA:TRUE", .purposes = "clientAuth"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct handmade made = cases[i];

        made.common_name = "cam-01";
        made.alternative = DEVICE_URN "cam-01";
        if (read_handmade(&made, NULL) != FL_EPARSE)
            fail_msg("case %zu was not refused", i);
    }
}

static void what_is_no_certificate_is_refused(void **state)
{
    static uint8_t huge[FL_LIMIT_CERT + 1];
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CERT);
    struct fl_cert_info info = {0};
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(fl_buffer_append_slice(&der, fl_buffer_slice(&pki.root_der)));
    for (size_t size = 0; size < der.size; size++)
        assert_int_equal(fl_cert_read(fl_slice(der.data, size), &info, NULL), FL_EPARSE);
    assert_ok(fl_buffer_append_byte(&der, 0));
    assert_int_equal(fl_cert_read(fl_buffer_slice(&der), &info, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "octets follow");
    assert_int_equal(fl_cert_read(fl_slice(huge, sizeof huge), &info, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "at most");
    assert_int_equal(fl_cert_read(fl_slice(huge, sizeof huge - 1), &info, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "not a certificate");
    fl_buffer_free(&der);
}

static void write_pem(const char *dir, const char *name, struct fl_slice der)
{
    struct fl_buffer pem = FL_BUFFER(2 * FL_LIMIT_CERT);
    char path[128];
    FILE *file = NULL;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_ok(fl_cert_to_pem(der, &pem, NULL));
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(fl_buffer_slice(&pem).data, 1, pem.size, file), pem.size);
    assert_int_equal(fclose(file), 0);
    fl_buffer_free(&pem);
}

static int openssl_verify(const char *dir, const char *purpose)
{
    char command[512];

    (void)snprintf(command, sizeof command,
                   "openssl verify -x509_strict -attime %lld -CAfile %s/root.pem -untrusted "
                   "%s/issuing.pem -purpose %s %s/leaf.pem >%s/out 2>&1",
                   (long long)(PKI_NOW / 1000 + 1), dir, dir, purpose, dir, dir);
    return system(command);
}

/* Every kind of key, both purposes, against another implementation's strictest reading. */
static void openssl_verifies_what_we_issue_for_its_purpose_only(void **state)
{
    char dir[] = "/tmp/fl-cert-XXXXXX";
    char command[64];
    (void)state;

    assert_non_null(mkdtemp(dir));
    write_pem(dir, "root.pem", fl_buffer_slice(&pki.root_der));
    write_pem(dir, "issuing.pem", fl_buffer_slice(&pki.issuing_der));
    for (int i = 0; i < 8; i++) {
        struct fl_cert_request request =
            i % 2 ? server_request() : pki_request(&pki, FL_CERT_DEVICE, "cam-01");
        struct fl_buffer der = FL_BUFFER(FL_LIMIT_CERT);
        EVP_PKEY *key = i < 2   ? EVP_EC_gen("P-256")
                        : i < 4 ? EVP_EC_gen("P-384")
                        : i < 6 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                : EVP_RSA_gen(2048);

        request.subject_key = key;
        assert_ok(fl_cert_issue(&request, &der, NULL));
        write_pem(dir, "leaf.pem", fl_buffer_slice(&der));
        assert_int_equal(openssl_verify(dir, i % 2 ? "sslserver" : "sslclient"), 0);
        assert_int_not_equal(openssl_verify(dir, i % 2 ? "sslclient" : "sslserver"), 0);
        EVP_PKEY_free(key);
        fl_buffer_free(&der);
    }
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

struct collected {
    struct fl_buffer all;
    size_t count;
    enum fl_error answer;
};

static enum fl_error collect(void *to, struct fl_slice der)
{
    struct collected *collected = to;

    collected->count++;
    assert_ok(fl_buffer_append_slice(&collected->all, der));
    return collected->answer;
}

static void pkcs7_gives_back_what_was_put_in(void **state)
{
    struct fl_slice in[2] = {fl_buffer_slice(&pki.issuing_der), fl_buffer_slice(&pki.root_der)};
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CHAIN);
    struct collected out = {.all = FL_BUFFER(FL_LIMIT_CHAIN)};
    (void)state;

    assert_ok(fl_pkcs7_wrap(in, 2, &der, NULL));
    assert_ok(fl_pkcs7_each(fl_buffer_slice(&der), collect, &out, NULL));
    assert_int_equal(out.count, 2);
    assert_memory_equal(fl_buffer_slice(&out.all).data, in[0].data, in[0].size);
    assert_memory_equal(fl_buffer_slice(&out.all).data + in[0].size, in[1].data, in[1].size);
    out.count = 0;
    out.answer = FL_EFULL;
    assert_int_equal(fl_pkcs7_each(fl_buffer_slice(&der), collect, &out, NULL), FL_EFULL);
    assert_int_equal(out.count, 1);
    fl_buffer_free(&out.all);
    fl_buffer_free(&der);
}

static void openssl_reads_our_pkcs7(void **state)
{
    struct fl_slice in[1] = {fl_buffer_slice(&pki.issuing_der)};
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CHAIN);
    FILE *pipe = NULL;
    (void)state;

    assert_ok(fl_pkcs7_wrap(in, 1, &der, NULL));
    pipe =
        popen("openssl pkcs7 -inform DER -print_certs -noout | grep -q 'CN = Test issuing'", "w");
    assert_non_null(pipe);
    assert_int_equal(fwrite(fl_buffer_slice(&der).data, 1, der.size, pipe), der.size);
    assert_int_equal(pclose(pipe), 0);
    fl_buffer_free(&der);
}

static void malformed_pkcs7_is_refused(void **state)
{
    static uint8_t huge[FL_LIMIT_CHAIN + 1];
    struct fl_slice in[1] = {fl_buffer_slice(&pki.issuing_der)};
    struct fl_slice bad[1] = {fl_slice_str("x")};
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CHAIN);
    struct collected out = {.all = FL_BUFFER(FL_LIMIT_CHAIN)};
    (void)state;

    assert_int_equal(fl_pkcs7_wrap(bad, 1, &der, NULL), FL_EPARSE);
    assert_ok(fl_pkcs7_wrap(in, 0, &der, NULL));
    assert_int_equal(fl_pkcs7_each(fl_buffer_slice(&der), collect, &out, NULL), FL_EPARSE);
    fl_buffer_clear(&der);
    assert_ok(fl_pkcs7_wrap(in, 1, &der, NULL));
    for (size_t size = 0; size < der.size; size += 7)
        assert_int_equal(fl_pkcs7_each(fl_slice(der.data, size), collect, &out, NULL), FL_EPARSE);
    assert_ok(fl_buffer_append_byte(&der, 0));
    assert_int_equal(fl_pkcs7_each(fl_buffer_slice(&der), collect, &out, NULL), FL_EPARSE);
    assert_int_equal(fl_pkcs7_each(fl_slice(huge, sizeof huge), collect, &out, NULL), FL_ELIMIT);
    assert_int_equal(out.count, 0);
    fl_buffer_free(&out.all);
    fl_buffer_free(&der);
}

static void pem_gives_back_every_certificate_and_only_those(void **state)
{
    static uint8_t huge[FL_LIMIT_CHAIN + 1];
    struct fl_buffer pem = FL_BUFFER(FL_LIMIT_CHAIN);
    struct collected out = {.all = FL_BUFFER(FL_LIMIT_CHAIN)};
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(fl_buffer_append_str(&pem, "a comment\n"));
    assert_ok(fl_cert_to_pem(fl_buffer_slice(&pki.issuing_der), &pem, NULL));
    assert_ok(fl_key_to_pem(pki.key, NULL, &pem, NULL));
    assert_ok(fl_cert_to_pem(fl_buffer_slice(&pki.root_der), &pem, NULL));
    assert_ok(fl_cert_each_pem(fl_buffer_slice(&pem), collect, &out, NULL));
    assert_int_equal(out.count, 2);
    assert_int_equal(out.all.size, pki.issuing_der.size + pki.root_der.size);
    assert_ok(fl_buffer_append_str(&pem, "-----BEGIN CERTIFICATE-----\nAAAA"));
    assert_int_equal(fl_cert_each_pem(fl_buffer_slice(&pem), collect, &out, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "malformed PEM");
    assert_int_equal(fl_cert_each_pem(fl_slice_str("nothing"), collect, &out, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "no certificate");
    assert_int_equal(fl_cert_each_pem(fl_slice(NULL, 0), collect, &out, &ctx), FL_EPARSE);
    memset(huge, '\n', sizeof huge);
    assert_int_equal(fl_cert_each_pem(fl_slice(huge, sizeof huge), collect, &out, &ctx), FL_ELIMIT);
    assert_int_equal(fl_cert_each_pem(fl_slice(huge, sizeof huge - 1), collect, &out, &ctx),
                     FL_EPARSE);
    fl_buffer_free(&out.all);
    fl_buffer_free(&pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_certificate_says_where_its_status_is_when_there_is_such_a_place),
        cmocka_unit_test(a_status_url_has_a_host_and_no_path),
        cmocka_unit_test(a_responder_may_answer_ocsp_and_need_not_be_asked_about),
        cmocka_unit_test(a_device_certificate_reads_back_as_it_was_issued),
        cmocka_unit_test(no_two_certificates_share_a_serial_number),
        cmocka_unit_test(a_server_certificate_names_every_host),
        cmocka_unit_test(an_address_alone_can_be_a_server),
        cmocka_unit_test(a_host_too_long_for_a_common_name_is_an_alternative_name),
        cmocka_unit_test(authorities_read_back_as_what_they_are),
        cmocka_unit_test(what_must_not_be_issued_is_not),
        cmocka_unit_test(a_server_needs_proper_hosts),
        cmocka_unit_test(certificates_whose_names_disagree_are_refused),
        cmocka_unit_test(certificates_of_other_kinds_are_refused),
        cmocka_unit_test(what_is_no_certificate_is_refused),
        cmocka_unit_test(openssl_verifies_what_we_issue_for_its_purpose_only),
        cmocka_unit_test(pkcs7_gives_back_what_was_put_in),
        cmocka_unit_test(openssl_reads_our_pkcs7),
        cmocka_unit_test(malformed_pkcs7_is_refused),
        cmocka_unit_test(pem_gives_back_every_certificate_and_only_those),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
