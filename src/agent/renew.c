/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/renew.h"

#include "agent/enrol.h"
#include "agent/link.h"
#include "base/base64.h"
#include "codec/http_result.h"
#include "trust/key.h"

#include <stdio.h>
#include <stdlib.h>

enum { WHOLE_MS = 60000 }; /* a whole renewal, connecting too */

struct fl_renew {
    struct fl_loop *loop;
    const struct fl_clock *clock;
    struct fl_renew_handler handler;
    const struct fl_self *present; /* of the renewal under way */
    struct fl_agent_key *present_key;
    struct fl_link *link; /* kept until the next attempt: it must not be freed in its callbacks */
    enum { RENEW_IDLE, RENEW_START, RENEW_CACERTS, RENEW_ENROL } state;
    struct fl_http_result result;
    struct fl_timer timer; /* the start, then the end of patience */
    struct fl_self next;
    struct fl_agent_key next_key;
    struct fl_buffer request; /* PKCS #10 in base64 */
};

/* --- Ending ------------------------------------------------------------------------------------
 */

static void stop(struct fl_renew *renew)
{
    renew->state = RENEW_IDLE;
    fl_loop_stop_timer(renew->loop, &renew->timer);
    if (renew->link)
        fl_link_close(renew->link);
    fl_http_result_free(&renew->result);
    renew->result = (struct fl_http_result){0};
    fl_buffer_clear(&renew->next.cert_pem);
    fl_agent_key_release(renew->present_key);
    fl_agent_key_release(&renew->next_key);
}

static void fail(struct fl_renew *renew, const char *why)
{
    uint32_t retry_after_s = renew->result.retry_after_s;
    char copy[1024];

    (void)fl_str_copy(copy, sizeof copy, why);
    stop(renew);
    renew->handler.failed(renew->handler.self, copy, retry_after_s);
}

static void forget_next(struct fl_renew *renew)
{
    fl_agent_key_free(&renew->next_key);
    fl_self_free(&renew->next);
    fl_self_init(&renew->next);
}

/* --- The exchange ------------------------------------------------------------------------------
 */

static void ask(struct fl_renew *renew, const char *method, const char *what,
                struct fl_slice content)
{
    const struct fl_self *p = renew->present;
    bool six = strchr(p->host, ':') != NULL;
    struct fl_buffer head = FL_BUFFER(FL_LIMIT_HTTP_HEAD);

    fl_http_result_free(&renew->result);
    fl_http_result_begin(&renew->result, FL_LIMIT_CHAIN);
    (void)fl_buffer_printf(&head,
                           "%s /.well-known/est/%s HTTP/1.1\r\n"
                           "Host: %s%s%s:%u\r\n"
                           "User-Agent: fairlead-agent/" FL_VERSION "\r\n",
                           method, what, six ? "[" : "", p->host, six ? "]" : "", p->https_port);
    if (content.size)
        (void)fl_buffer_printf(&head,
                               "Content-Type: application/pkcs10\r\n"
                               "Content-Length: %zu\r\n",
                               content.size);
    (void)fl_buffer_append_str(&head, "\r\n");
    fl_link_send(renew->link, fl_buffer_slice(&head));
    fl_link_send(renew->link, content);
    fl_buffer_free(&head);
}

static void link_up(void *self, bool resumed)
{
    struct fl_renew *renew = self;

    (void)resumed;
    fl_agent_key_release(renew->present_key);
    if (renew->state == RENEW_CACERTS)
        ask(renew, "GET", "cacerts", fl_slice(NULL, 0));
    else
        ask(renew, "POST", "simplereenroll", fl_buffer_slice(&renew->request));
}

static void link_down(void *self, const char *why)
{
    fail(self, why);
}

static void link_drained(void *self)
{
    (void)self;
}

static enum fl_error hash_first(void *to, struct fl_slice der)
{
    fl_sha256(der, to);
    return FL_ECLOSED; /* ends the walk */
}

/* The hub's issuing CAs of today. Where they cannot be had those that we know are kept: then they
 * have to lead to the root. */
static void take_cacerts(struct fl_renew *renew)
{
    struct fl_buffer root = FL_BUFFER(FL_LIMIT_CHAIN);
    struct fl_buffer chain = FL_BUFFER(FL_LIMIT_CHAIN);
    uint8_t hash[FL_SHA256_SIZE] = {0};
    bool has_root = fl_cert_each_pem(fl_buffer_slice(&renew->present->ca_pem), hash_first, hash,
                                     NULL) == FL_ECLOSED;

    if (has_root && renew->result.status == 200 &&
        fl_enrol_pick_root(fl_buffer_slice(&renew->result.content), hash, &root, &chain, NULL) ==
            FL_OK &&
        chain.size) {
        fl_buffer_clear(&renew->next.chain_pem);
        (void)fl_buffer_append_slice(&renew->next.chain_pem, fl_buffer_slice(&chain));
    }
    fl_buffer_free(&root);
    fl_buffer_free(&chain);
}

static enum fl_error refused(const struct fl_http_result *result, struct fl_context *ctx)
{
    char words[256];

    fl_enrol_words(fl_buffer_slice(&result->content), words);
    if (result->status == 202)
        return fl_fail(ctx, FL_ESTATE, "the hub wants a person to approve it");
    return fl_fail(ctx, FL_EDENIED, "the hub refused (HTTP %d: %s)", result->status, words);
}

static void take_certificate(struct fl_renew *renew)
{
    struct fl_cert_info info = {0};
    struct fl_context ctx = {0};
    struct fl_self next;
    struct fl_agent_key key = renew->next_key;
    enum fl_error error = FL_OK;

    if (renew->result.status != 200)
        error = refused(&renew->result, &ctx);
    else
        error = fl_enrol_accept(fl_buffer_slice(&renew->result.content), key.key,
                                renew->present->device, fl_buffer_slice(&renew->next.ca_pem),
                                fl_buffer_slice(&renew->next.chain_pem), fl_clock_now(renew->clock),
                                &renew->next.cert_pem, &info, &ctx);
    if (error) {
        fail(renew, ctx.text);
        return;
    }
    next = renew->next;
    fl_self_init(&renew->next);
    stop(renew);
    renew->next_key = (struct fl_agent_key){0};
    renew->handler.issued(renew->handler.self, &next, &key, &info);
}

static void link_received(void *self, struct fl_slice bytes)
{
    struct fl_renew *renew = self;
    struct fl_context ctx = {0};
    enum fl_error error = fl_http_result_read(&renew->result, bytes, &ctx);
    bool closes = renew->result.closes;

    if (error == FL_EMORE)
        return;
    if (error) {
        fail(renew, ctx.text);
        return;
    }
    if (renew->state == RENEW_ENROL) {
        take_certificate(renew);
        return;
    }
    take_cacerts(renew);
    renew->state = RENEW_ENROL;
    if (closes) {
        fl_link_close(renew->link);
        fl_link_connect(renew->link);
    } else {
        ask(renew, "POST", "simplereenroll", fl_buffer_slice(&renew->request));
    }
}

/* --- Starting ----------------------------------------------------------------------------------
 */

static enum fl_error prepare(struct fl_renew *renew, struct fl_context *ctx)
{
    const struct fl_self *p = renew->present;
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CSR);
    enum fl_error error = FL_OK;

    fl_buffer_clear(&renew->request);
    if (!renew->next_key.key)
        error = fl_agent_key_next(p, &renew->next, &renew->next_key, ctx);
    fl_buffer_clear(&renew->next.chain_pem);
    fl_buffer_clear(&renew->next.ca_pem);
    if (!error &&
        (fl_buffer_append_slice(&renew->next.chain_pem, fl_buffer_slice(&p->chain_pem)) != FL_OK ||
         fl_buffer_append_slice(&renew->next.ca_pem, fl_buffer_slice(&p->ca_pem)) != FL_OK))
        error = fl_fail(ctx, FL_ENOMEM, "out of memory");
    if (!error)
        error = fl_csr_create(renew->next_key.key, p->device, &der, ctx);
    if (!error)
        error = fl_base64_encode(fl_buffer_slice(&der), 64, &renew->request);
    fl_agent_key_release(&renew->next_key);
    fl_buffer_free(&der);
    return error;
}

static enum fl_error open_link(struct fl_renew *renew, struct fl_context *ctx)
{
    const struct fl_self *p = renew->present;
    const struct fl_link_options options = {.host = p->host,
                                            .port = p->https_port,
                                            .ca_pem = fl_buffer_slice(&p->ca_pem),
                                            .cert_pem = fl_buffer_slice(&p->cert_pem),
                                            .chain_pem = fl_buffer_slice(&p->chain_pem),
                                            .key = renew->present_key->key};
    const struct fl_link_handler handler = {.up = link_up,
                                            .received = link_received,
                                            .drained = link_drained,
                                            .down = link_down,
                                            .self = renew};

    fl_link_free(renew->link);
    renew->link = NULL;
    return fl_link_create(renew->loop, &options, &handler, &renew->link, ctx);
}

static void start(struct fl_renew *renew)
{
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    /* A TPM serves one at a time. */
    fl_agent_key_release(renew->present_key);
    error = prepare(renew, &ctx);
    if (!error)
        error = open_link(renew, &ctx);
    if (error) {
        fail(renew, ctx.text);
        return;
    }
    renew->state = RENEW_CACERTS;
    fl_loop_set_timer(renew->loop, &renew->timer, WHOLE_MS);
    fl_link_connect(renew->link);
}

static void timer_fired(struct fl_timer *timer)
{
    struct fl_renew *renew = fl_container_of(timer, struct fl_renew, timer);

    if (renew->state == RENEW_START)
        start(renew);
    else
        fail(renew, "the hub did not answer in time");
}

enum fl_error fl_renew_create(struct fl_loop *loop, const struct fl_clock *clock,
                              const struct fl_renew_handler *handler, struct fl_renew **renew,
                              struct fl_context *ctx)
{
    struct fl_renew *made = calloc(1, sizeof *made);

    if (!made)
        return fl_fail(ctx, FL_ENOMEM, "renewal: out of memory");
    made->loop = loop;
    made->clock = clock;
    made->handler = *handler;
    made->timer.fired = timer_fired;
    made->request = FL_BUFFER((size_t)2 * FL_LIMIT_CSR);
    fl_self_init(&made->next);
    *renew = made;
    return FL_OK;
}

void fl_renew_begin(struct fl_renew *renew, const struct fl_self *present, struct fl_agent_key *key)
{
    if (renew->state != RENEW_IDLE)
        return;
    renew->present = present;
    renew->present_key = key;
    renew->state = RENEW_START;
    fl_loop_set_timer(renew->loop, &renew->timer, 0);
}

bool fl_renew_is_busy(const struct fl_renew *renew)
{
    return renew->state != RENEW_IDLE;
}

void fl_renew_free(struct fl_renew *renew)
{
    if (!renew)
        return;
    if (renew->state != RENEW_IDLE)
        stop(renew);
    if (renew->next_key.key && renew->present)
        fl_agent_key_retire(&renew->next, renew->present);
    forget_next(renew);
    fl_link_free(renew->link);
    fl_buffer_free(&renew->request);
    free(renew);
}
