/* SPDX-License-Identifier: Apache-2.0
 *
 * What a device's certificate costs the signer, beside what OpenSSL alone needs for the two
 * operations that cannot be left out: reading and verifying the request, and one P-256 signature.
 * Both in turns, in one thread, on requests with keys of their own:
 *
 *     sign_bench DIR [REQUESTS]     DIR as `fairlead init` made it; its issuance log grows
 */
#include "base/log.h"
#include "io/clock.h"
#include "signer/issue.h"
#include "trust/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUND = FL_LIMIT_ISSUED_BATCH, TBS = 500 };

struct cost {
    double wall;
    double cpu;
    size_t count;
};

static double wall(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void begin(struct cost *cost)
{
    cost->wall -= wall();
    cost->cpu -= cpu();
}

static void end(struct cost *cost, size_t count)
{
    cost->wall += wall();
    cost->cpu += cpu();
    cost->count += count;
}

static void forget_line(enum fl_log_level level, const char *tag, const char *text)
{
    (void)level;
    (void)tag;
    (void)text;
}

static void give_up(const char *why)
{
    (void)fprintf(stderr, "sign_bench: %s\n", why);
    exit(1);
}

static void name_of(char to[FL_NAME_MAX + 1], size_t number)
{
    (void)snprintf(to, FL_NAME_MAX + 1, "bench-%lld-%zu", (long long)time(NULL), number);
}

static void bare(const struct fl_buffer *csr, EVP_PKEY *key)
{
    static const uint8_t tbs[TBS];
    const unsigned char *at = csr->data + csr->start;
    X509_REQ *request = d2i_X509_REQ(NULL, &at, (long)csr->size);
    EVP_PKEY *subject = request ? X509_REQ_get_pubkey(request) : NULL;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    uint8_t signature[128];
    size_t size = sizeof signature;

    if (!subject || X509_REQ_verify(request, subject) != 1 || !md ||
        EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(md, signature, &size, tbs, sizeof tbs) != 1)
        give_up("OpenSSL alone cannot do it");
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(subject);
    X509_REQ_free(request);
}

struct bench {
    struct fl_signer signer;
    struct fl_signer_answer answer;
    fl_time_t monotonic;
    size_t number;
};

static void make(struct fl_buffer *csr, const char *name)
{
    EVP_PKEY *key = NULL;

    *csr = FL_BUFFER(FL_LIMIT_CSR);
    if (fl_key_generate(&key, NULL) != FL_OK || fl_csr_create(key, name, csr, NULL) != FL_OK)
        give_up("no request can be made");
    EVP_PKEY_free(key);
}

static void issue(struct bench *b, const struct fl_buffer *csr, const char *name)
{
    struct fl_msg_sign request = {.kind = fl_slice_str("device"),
                                  .name = fl_slice_str(name),
                                  .validity_s = 7 * 24 * 3600,
                                  .csr = fl_buffer_slice(csr),
                                  .reason = fl_slice_str("renewal")};

    b->monotonic += 1000 / FL_SIGNER_RATE; /* within the rate, as far as the signer knows */
    fl_signer_answer(&b->signer, &request, fl_clock_now(fl_clock_system()), b->monotonic,
                     &b->answer);
    if (b->answer.result.error != FL_OK)
        give_up(b->answer.text.text);
}

/* Rounds of requests, first OpenSSL alone, then the signer with a sync for `batch` of them. */
static void measure(struct bench *b, size_t requests, size_t batch, struct cost *alone,
                    struct cost *ours)
{
    static struct fl_buffer csrs[ROUND];
    static char names[ROUND][FL_NAME_MAX + 1];
    struct fl_context ctx = {0};

    for (size_t done = 0; done < requests; done += ROUND) {
        for (size_t i = 0; i < ROUND; i++) {
            name_of(names[i], b->number++);
            make(&csrs[i], names[i]);
        }
        begin(alone);
        for (size_t i = 0; i < ROUND; i++)
            bare(&csrs[i], b->signer.key);
        end(alone, ROUND);
        begin(ours);
        for (size_t i = 0; i < ROUND; i++) {
            issue(b, &csrs[i], names[i]);
            if ((i + 1) % batch == 0 &&
                fl_ledger_commit(&b->signer.ledger, fl_clock_now(fl_clock_system()), &ctx) != FL_OK)
                give_up(ctx.text);
        }
        end(ours, ROUND);
        for (size_t i = 0; i < ROUND; i++)
            fl_buffer_free(&csrs[i]);
    }
}

static double us(double seconds, const struct cost *cost)
{
    return seconds / (double)cost->count * 1e6;
}

static void report(size_t batch, const struct cost *alone, const struct cost *ours)
{
    (void)printf("OpenSSL alone %6.1f us CPU; signer %6.1f us CPU, %7.1f us wall, %5.0f a second, "
                 "a sync for %3zu: ratio %.1f %% of CPU, %.1f %% of wall\n",
                 us(alone->cpu, alone), us(ours->cpu, ours), us(ours->wall, ours),
                 (double)ours->count / ours->wall, batch,
                 100 * alone->cpu / (double)alone->count * (double)ours->count / ours->cpu,
                 100 * alone->wall / (double)alone->count * (double)ours->count / ours->wall);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    static const size_t batches[] = {ROUND, 16, 1};
    struct fl_context ctx = {0};
    size_t requests = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 20000;

    if (argc < 2 || requests < ROUND) {
        (void)fprintf(stderr, "usage: sign_bench DIR [REQUESTS]\n");
        return 2;
    }
    fl_log_set_writer(forget_line); /* the line of each certificate is made, and goes nowhere */
    if (fl_signer_load(&bench.signer, argv[1], fl_clock_now(fl_clock_system()), &ctx) != FL_OK)
        give_up(ctx.text);
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        struct cost alone = {0};
        struct cost ours = {0};

        measure(&bench, batches[i] == 1 ? requests / 8 : requests, batches[i], &alone, &ours);
        report(batches[i], &alone, &ours);
    }
    fl_buffer_free(&bench.answer.certificate);
    fl_signer_free(&bench.signer);
    return 0;
}
