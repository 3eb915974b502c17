/* SPDX-License-Identifier: Apache-2.0 */
#include "front/identity.h"

#include "base/log.h"
#include "trust/cert.h"
#include "trust/key.h"

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000
#define ANSWER_MS 10000
/* Timers are for days; a certificate of years is renewed earlier than it must be. */
#define RENEW_MAX_MS ((fl_time_t)30 * 24 * 3600 * 1000)

static void ask_later(struct fl_identity *id)
{
    id->retry_ms = id->retry_ms ? id->retry_ms * 2 : RETRY_MIN_MS;
    if (id->retry_ms > RETRY_MAX_MS)
        id->retry_ms = RETRY_MAX_MS;
    fl_loop_set_timer(id->loop, &id->timer, id->retry_ms);
}

static void ask(struct fl_identity *id)
{
    struct fl_context ctx = {0};
    struct fl_buffer csr = FL_BUFFER(FL_LIMIT_CSR);
    struct fl_msg msg = {.type = fl_msg_type_server_csr};
    enum fl_error error = FL_OK;

    EVP_PKEY_free(id->asked_for);
    id->asked_for = NULL;
    error = fl_key_generate(&id->asked_for, &ctx);
    if (!error)
        error = fl_csr_create(id->asked_for, id->name, &csr, &ctx);
    if (error)
        fl_log(FL_LOG_ERROR, "identity", "%s", ctx.text);
    msg.as.server_csr.csr = fl_buffer_slice(&csr);
    if (!error && fl_link_send(id->link, &msg))
        fl_loop_set_timer(id->loop, &id->timer, ANSWER_MS);
    else
        ask_later(id);
    fl_buffer_free(&csr);
}

static void on_timer(struct fl_timer *timer)
{
    ask(fl_container_of(timer, struct fl_identity, timer));
}

void fl_identity_init(struct fl_identity *identity, struct fl_loop *loop,
                      const struct fl_clock *clock, const struct fl_link *link)
{
    identity->loop = loop;
    identity->clock = clock;
    identity->link = link;
    identity->timer.fired = on_timer;
    identity->config = FL_BUFFER(4096 + (size_t)2 * FL_LIMIT_CERT);
}

void fl_identity_free(struct fl_identity *identity)
{
    if (!identity->loop)
        return;
    fl_loop_stop_timer(identity->loop, &identity->timer);
    EVP_PKEY_free(identity->asked_for);
    fl_buffer_free(&identity->config);
}

void fl_identity_config(struct fl_identity *identity, const struct fl_msg_config *config)
{
    struct fl_buffer next = FL_BUFFER(identity->config.max);
    struct fl_slice hosts = config->hosts;
    struct fl_slice first = {0};
    bool same = false;

    (void)fl_buffer_append_slice(&next, config->hosts);
    (void)fl_buffer_append_slice(&next, config->issuing);
    same = fl_slice_equal(fl_buffer_slice(&next), fl_buffer_slice(&identity->config));
    fl_buffer_free(&identity->config);
    identity->config = next;
    (void)fl_slice_cut(&hosts, ' ', &first);
    (void)fl_str_copy_slice(identity->name, sizeof identity->name, first);
    if (same && identity->has_certificate && !identity->asked_for)
        return;
    identity->retry_ms = 0;
    ask(identity);
}

void fl_identity_answer(struct fl_identity *identity, const struct fl_msg_server_cert *answer)
{
    fl_time_t left = answer->not_after - fl_clock_now(identity->clock);
    EVP_PKEY *key = identity->asked_for;

    if (!key)
        return;
    identity->asked_for = NULL;
    if (answer->error != FL_OK || left <= 0) {
        char detail[256];
        fl_log(FL_LOG_WARN, "identity", "no server certificate: %s",
               answer->error ? fl_str_printable(detail, sizeof detail, answer->detail)
                             : "it has expired; is this machine's clock right?");
        EVP_PKEY_free(key);
        ask_later(identity);
        return;
    }
    identity->retry_ms = 0;
    identity->has_certificate = true;
    left = left / 3 * 2;
    fl_loop_set_timer(identity->loop, &identity->timer, left < RENEW_MAX_MS ? left : RENEW_MAX_MS);
    identity->certified(identity->self, key, answer->certificate);
    EVP_PKEY_free(key);
}
