/* SPDX-License-Identifier: Apache-2.0
 *
 * fairlead-signer: of all processes of a hub this one alone holds keys that issue. It reads
 * them from DIR/keys in its sandbox, without network, and answers SIGN on its channel to the
 * control process by its own policy (signer/policy.h), and DATA_KEY from its store of devices' keys
 * (signer/keystore.h). No certificate leaves before it is written down (signer/ledger.h): requests
 * that came together wait for one sync. It parses nothing from outside but requests for
 * certificates and serials to revoke, and has no other channel.
 */
#include "base/log.h"
#include "io/child.h"
#include "io/clock.h"
#include "io/usage.h"
#include "signer/device_keys.h"
#include "signer/issue.h"
#include "signer/revocations.h"

#include <unistd.h>

struct process {
    struct fl_child *child;
    struct fl_loop *loop;
    struct fl_channel *hub;
    struct fl_signer signer;
    struct fl_signer_answer answer;
    struct fl_signer_key_answer key_answer;
    struct fl_buffer page;

    /* Answers that wait until what they tell of is on stable storage. */
    struct fl_buffer held; /* frames */
    uint64_t held_requests[FL_LIMIT_ISSUED_BATCH];
    size_t held_count;
    struct fl_deferred commit;
    struct fl_timer checkpoint;
    bool checkpoint_is_due; /* the timer is set */
    struct fl_signer_list list;
};

static enum fl_error tell_usage(struct fl_channel *channel, struct fl_context *ctx)
{
    struct fl_usage usage = fl_usage_read();
    struct fl_msg msg = {.type = fl_msg_type_usage};

    msg.as.usage.cpu_us = usage.cpu_us;
    msg.as.usage.resident_bytes = usage.resident_bytes;
    return fl_channel_send(channel, &msg, ctx);
}

static void forget_held(struct process *p)
{
    fl_buffer_clear(&p->held);
    p->held_count = 0;
}

static void drop_channel(struct process *p)
{
    fl_channel_close(p->hub);
    p->hub = NULL;
    forget_held(p);
}

/* The control process broke the contract: its channel ends, and the parent ends the process. */
static void end_hub(struct process *p, const char *why)
{
    drop_channel(p);
    fl_child_channel_lost(p->child, FL_FROM_HUB, why);
}

/* What could not be written down has not happened. */
static enum fl_error refuse_held(struct process *p, enum fl_error why, const char *words,
                                 struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < p->held_count && error == FL_OK; i++) {
        struct fl_msg reply = {.type = fl_msg_type_sign_result};

        reply.as.sign_result.request = p->held_requests[i];
        reply.as.sign_result.error = (uint32_t)why;
        reply.as.sign_result.detail = fl_slice_str(words);
        error = fl_channel_send(p->hub, &reply, ctx);
    }
    return error;
}

/* Writes down what was signed and refused, then answers all of it. */
static void settle(struct process *p)
{
    struct fl_context words = {0};
    struct fl_context ctx = {0};
    enum fl_error error =
        fl_ledger_commit(&p->signer.ledger, fl_clock_now(fl_clock_system()), &words);

    if (error != FL_OK)
        fl_log(FL_LOG_ERROR, "issue", "%s", words.text);
    if (p->hub && p->held_count) {
        if (error == FL_OK)
            error = fl_channel_send_frames(p->hub, fl_buffer_slice(&p->held), &ctx);
        else
            error = refuse_held(p, error, words.text, &ctx);
        forget_held(p);
        if (error != FL_OK)
            end_hub(p, ctx.text);
    }
    if (!p->checkpoint_is_due && fl_ledger_is_uncovered(&p->signer.ledger)) {
        p->checkpoint_is_due = true;
        fl_loop_set_timer(p->loop, &p->checkpoint, FL_LEDGER_CHECKPOINT_MS);
    }
}

static void run_commit(struct fl_deferred *deferred)
{
    settle(fl_container_of(deferred, struct process, commit));
}

static void make_checkpoint(struct process *p)
{
    struct fl_context ctx = {0};

    p->checkpoint_is_due = false;
    if (fl_ledger_is_uncovered(&p->signer.ledger) &&
        fl_ledger_checkpoint(&p->signer.ledger, fl_clock_now(fl_clock_system()), &ctx) != FL_OK)
        fl_log(FL_LOG_WARN, "issue", "no checkpoint of the issuance log: %s", ctx.text);
}

static void run_checkpoint(struct fl_timer *timer)
{
    make_checkpoint(fl_container_of(timer, struct process, checkpoint));
}

static enum fl_error answer_sign(struct process *p, const struct fl_msg_sign *request,
                                 struct fl_context *ctx)
{
    struct fl_msg reply = {.type = fl_msg_type_sign_result};
    const struct fl_clock *clock = fl_clock_system();
    enum fl_error error = FL_OK;

    fl_signer_answer(&p->signer, request, fl_clock_now(clock), fl_clock_monotonic(clock),
                     &p->answer);
    reply.as.sign_result = p->answer.result;
    error = fl_msg_encode(&reply, &p->held, ctx);
    if (error != FL_OK)
        return error;
    p->held_requests[p->held_count++] = request->request;
    if (p->held_count == FL_LIMIT_ISSUED_BATCH)
        settle(p);
    else
        fl_loop_defer(p->loop, &p->commit);
    return FL_OK;
}

/* Whoever reads the log has the certificates that are in it before. */
static enum fl_error answer_issued(struct process *p, const struct fl_msg_issued_ask *ask,
                                   struct fl_context *ctx)
{
    struct fl_msg reply = {.type = fl_msg_type_issued_page};
    struct fl_context text = {0};

    settle(p);
    if (!p->hub)
        return FL_OK;
    fl_ledger_page(&p->signer.ledger, ask, &p->page, &text, &reply.as.issued_page);
    return fl_channel_send(p->hub, &reply, ctx);
}

static enum fl_error answer_key(struct process *p, struct fl_channel *channel,
                                const struct fl_msg *request, struct fl_context *ctx)
{
    struct fl_msg reply = {.type = fl_msg_type_data_key_result};
    enum fl_error error = FL_OK;

    fl_signer_answer_key(p->signer.keystore, &p->signer.key_rate, request,
                         fl_clock_monotonic(fl_clock_system()), &p->key_answer);
    reply.as.data_key_result = p->key_answer.result;
    error = fl_channel_send(channel, &reply, ctx);
    explicit_bzero(&p->key_answer, sizeof p->key_answer);
    return error;
}

static enum fl_error answer_crl(struct process *p, struct fl_channel *channel,
                                const struct fl_msg_crl_sign *request, struct fl_context *ctx)
{
    const struct fl_clock *clock = fl_clock_system();
    struct fl_msg end = {.type = fl_msg_type_crl};
    struct fl_slice rest = {0};
    enum fl_error error = FL_OK;

    fl_signer_answer_crl(&p->signer, request, fl_clock_now(clock), fl_clock_monotonic(clock),
                         &p->list);
    rest = fl_buffer_slice(&p->list.der);
    while (rest.size && error == FL_OK) {
        struct fl_msg part = {.type = fl_msg_type_crl_part};

        part.as.crl_part.der = fl_msg_cut_part(&rest);
        error = fl_channel_send(channel, &part, ctx);
    }
    end.as.crl = p->list.result;
    return error == FL_OK ? fl_channel_send(channel, &end, ctx) : error;
}

static enum fl_error answer(struct process *p, struct fl_channel *channel, const struct fl_msg *msg,
                            struct fl_context *ctx)
{
    if (msg->type == fl_msg_type_usage_ask)
        return tell_usage(channel, ctx);
    if (msg->type == fl_msg_type_sign)
        return answer_sign(p, &msg->as.sign, ctx);
    if (msg->type == fl_msg_type_issued_ask)
        return answer_issued(p, &msg->as.issued_ask, ctx);
    if (msg->type == fl_msg_type_data_key || msg->type == fl_msg_type_data_key_erase)
        return answer_key(p, channel, msg, ctx);
    if (msg->type == fl_msg_type_crl_entries)
        return fl_signer_take_entries(&p->signer, msg->as.crl_entries.entries);
    if (msg->type == fl_msg_type_crl_sign)
        return answer_crl(p, channel, &msg->as.crl_sign, ctx);
    return fl_fail(ctx, FL_EDENIED, "violation: %s is not for the signer", fl_msg_name(msg->type));
}

static void on_message(void *self, struct fl_channel *channel, const struct fl_msg *msg, int fd)
{
    struct process *p = self;
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    if (fd >= 0)
        error = fl_fail(&ctx, FL_EDENIED, "violation: %s is not for the signer",
                        fl_msg_name(msg->type));
    else
        error = answer(p, channel, msg, &ctx);
    if (error != FL_OK)
        end_hub(p, ctx.text[0] ? ctx.text : fl_error_words(error));
}

static void on_lost(void *self, struct fl_channel *channel, const char *why)
{
    struct process *p = self;

    if (channel != p->hub)
        return; /* replaced already */
    p->hub = NULL;
    forget_held(p);
    fl_child_channel_lost(p->child, FL_FROM_HUB, why);
}

static enum fl_error start(void *self, struct fl_child *child, struct fl_loop *loop,
                           const char *dir, struct fl_context *ctx)
{
    struct process *p = self;
    enum fl_error error = FL_OK;

    p->child = child;
    p->loop = loop;
    p->commit.run = run_commit;
    p->checkpoint.fired = run_checkpoint;
    p->held = FL_BUFFER((size_t)FL_LIMIT_ISSUED_BATCH * (FL_LIMIT_CERT + 1024));
    error = fl_signer_load(&p->signer, dir, fl_clock_now(fl_clock_system()), ctx);
    if (error != FL_OK)
        return error;
    settle(p); /* a process that was killed left no checkpoint */
    fl_child_ready(child);
    return FL_OK;
}

static enum fl_error open_channel(void *self, enum fl_msg_from peer, int fd, struct fl_context *ctx)
{
    struct process *p = self;
    const struct fl_channel_handler handler = {.message = on_message, .lost = on_lost, .self = p};
    struct fl_msg hello = {.type = fl_msg_type_signer_hello};
    struct fl_channel *hub = NULL;
    enum fl_error error = FL_OK;

    if (peer != FL_FROM_HUB) {
        (void)close(fd);
        return fl_fail(ctx, FL_EDENIED, "only the control process may have a channel here");
    }
    drop_channel(p);
    error = fl_channel_open(p->loop, fd, FL_FROM_HUB, "control", &handler, &hub, ctx);
    if (error != FL_OK)
        return error;
    hello.as.signer_hello.issuing = fl_buffer_slice(&p->signer.issuing_der);
    hello.as.signer_hello.root = fl_buffer_slice(&p->signer.root_der);
    hello.as.signer_hello.front_key = fl_slice(p->signer.front_key, sizeof p->signer.front_key);
    fl_buffer_clear(&p->signer.crl_entries); /* of a channel that ended in between */
    error = fl_channel_send(hub, &hello, ctx);
    if (error == FL_OK)
        p->hub = hub;
    else
        fl_channel_close(hub);
    return error;
}

static void stop(void *self)
{
    struct process *p = self;

    if (p->signer.ledger.log) {
        settle(p);
        make_checkpoint(p);
    }
    fl_child_done(p->child);
}

static void end(void *self)
{
    struct process *p = self;

    fl_channel_close(p->hub);
    fl_buffer_free(&p->answer.certificate);
    fl_buffer_free(&p->page);
    fl_buffer_free(&p->held);
    fl_buffer_free(&p->list.der);
    fl_signer_free(&p->signer);
}

int main(int argc, char **argv)
{
    static struct process process;
    const struct fl_child_program program = {.role = FL_FROM_SIGNER,
                                             .start = start,
                                             .channel = open_channel,
                                             .stop = stop,
                                             .end = end,
                                             .self = &process};

    return fl_child_main(&program, argc, argv);
}
