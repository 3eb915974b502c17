/* SPDX-License-Identifier: Apache-2.0
 *
 * What an OCSP answer from the cache costs, in one process: the request is read, the authority
 * compared, the response found. HTTP and sockets are not in it.
 *
 *     ocsp_bench [SECONDS]
 */
#include "front/status.h"
#include "io/clock.h"
#include "trust/cert.h"
#include "trust/key.h"

#include <openssl/ocsp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CERTIFICATES = 1000 };

static void must(enum fl_error error, const struct fl_context *ctx)
{
    if (error == FL_OK)
        return;
    (void)fprintf(stderr, "ocsp_bench: %s\n", ctx->text);
    exit(1);
}

static X509 *authority(EVP_PKEY *key, struct fl_buffer *der)
{
    struct fl_context ctx = {0};
    fl_time_t now = fl_clock_now(fl_clock_system());
    struct fl_cert_request request = {.kind = FL_CERT_ROOT,
                                      .name = "bench",
                                      .not_before = now,
                                      .not_after = now + 86400000,
                                      .subject_key = key,
                                      .issuer_key = key};
    X509 *certificate = NULL;

    must(fl_cert_issue(&request, der, &ctx), &ctx);
    must(fl_cert_x509(fl_buffer_slice(der), &certificate, &ctx), &ctx);
    return certificate;
}

static struct fl_buffer request_for(X509 *issuer, long serial)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_OCSP_REQUEST);
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    unsigned char *der = NULL;
    int size = 0;

    (void)ASN1_INTEGER_set(number, serial);
    (void)OCSP_request_add0_id(request, OCSP_cert_id_new(EVP_sha1(), X509_get_subject_name(issuer),
                                                         X509_get0_pubkey_bitstr(issuer), number));
    size = i2d_OCSP_REQUEST(request, &der);
    if (size > 0)
        (void)fl_buffer_append(&out, der, (size_t)size);
    OPENSSL_free(der);
    ASN1_INTEGER_free(number);
    OCSP_REQUEST_free(request);
    return out;
}

/* As the hub would: signed once, then kept. Returns the microseconds that signing took. */
static double fill(struct fl_status *status, X509 *issuer, EVP_PKEY *key,
                   const struct fl_buffer *requests)
{
    fl_time_t now = fl_clock_now(fl_clock_system());
    clock_t started = clock();

    for (int i = 0; i < CERTIFICATES; i++) {
        struct fl_ocsp_question q;
        struct fl_context ctx = {0};
        struct fl_buffer der = FL_BUFFER(FL_LIMIT_OCSP_RESPONSE);
        struct fl_ocsp_single single = {.verdict = FL_OCSP_GOOD};
        struct fl_ocsp_reply reply = {.issuer = issuer,
                                      .responder = issuer,
                                      .responder_key = key,
                                      .this_update = now,
                                      .next_update = now + 3600000,
                                      .singles = &single,
                                      .count = 1};
        struct fl_msg_ocsp_answer answer = {
            .keep = 1, .this_update = now, .next_update = now + 3600000};

        must(fl_ocsp_read(fl_buffer_slice(&requests[i]), &status->issuer, &q, &ctx), &ctx);
        single.serial = fl_slice(q.serials + 1, q.serials_size - 1);
        must(fl_ocsp_respond(&reply, &der, &ctx), &ctx);
        answer.serials = fl_slice(q.serials, q.serials_size);
        answer.response = fl_buffer_slice(&der);
        fl_status_answer(status, &answer);
        fl_buffer_free(&der);
    }
    return (double)(clock() - started) * 1e6 / CLOCKS_PER_SEC / CERTIFICATES;
}

static void measure(struct fl_status *status, const struct fl_buffer *requests, double seconds)
{
    clock_t started = clock();
    clock_t until = started + (clock_t)(seconds * CLOCKS_PER_SEC);
    uint64_t answers = 0;
    double took = 0;

    while (clock() < until) {
        for (int i = 0; i < CERTIFICATES; i++) {
            struct fl_ocsp_question q;

            if (fl_ocsp_read(fl_buffer_slice(&requests[i]), &status->issuer, &q, NULL) != FL_OK ||
                fl_status_kept(status, &q).size == 0) {
                (void)fprintf(stderr, "ocsp_bench: an answer is missing\n");
                exit(1);
            }
            answers++;
        }
    }
    took = (double)(clock() - started) / CLOCKS_PER_SEC;
    (void)printf("OCSP from the cache: %.0f answers a second and core (%.2f us each)\n",
                 (double)answers / took, took * 1e6 / (double)answers);
}

int main(int argc, char **argv)
{
    static struct fl_status status;
    static struct fl_pending pending;
    static struct fl_buffer requests[CERTIFICATES];
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;
    struct fl_link link = {0};
    struct fl_loop *loop = NULL;
    struct fl_context ctx = {0};
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CERT);
    EVP_PKEY *key = NULL;
    X509 *issuer = NULL;

    must(fl_key_generate(&key, &ctx), &ctx);
    issuer = authority(key, &der);
    must(fl_loop_create(&loop, &ctx), &ctx);
    fl_pending_init(&pending, loop);
    fl_status_init(&status, loop, fl_clock_system(), &link, &pending);
    must(fl_status_config(&status, fl_buffer_slice(&der), &ctx), &ctx);
    for (int i = 0; i < CERTIFICATES; i++)
        requests[i] = request_for(issuer, 1000000 + i);
    (void)printf("OCSP signed: %.1f us each\n", fill(&status, issuer, key, requests));
    measure(&status, requests, seconds);
    for (int i = 0; i < CERTIFICATES; i++)
        fl_buffer_free(&requests[i]);
    fl_status_free(&status);
    fl_pending_free(&pending);
    fl_loop_free(loop);
    X509_free(issuer);
    EVP_PKEY_free(key);
    fl_buffer_free(&der);
    return 0;
}
