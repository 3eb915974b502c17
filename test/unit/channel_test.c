/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/log.h"
#include "io/channel.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* One end of a channel under test and what it was told. */
struct end {
    struct fl_channel *channel;
    struct fl_loop *loop;
    int messages;
    int lost;
    char why[200];
    enum fl_msg_type last;
    uint64_t last_seq;
    size_t last_size;
    int fds[64];
    int fd_count;
    bool closes;  /* on the first message */
    bool answers; /* every device_gone with an applied */
    int logged;
};

struct world {
    struct fl_loop *loop;
    struct fl_context ctx;
    struct end a;
    struct end b;
    int raw; /* instead of b: a hostile peer without our code */
};

static int log_lines;

static void count_log(enum fl_log_level level, const char *tag, const char *text)
{
    (void)tag;
    (void)text;
    log_lines += level == FL_LOG_ERROR;
}

static void on_message(void *self, struct fl_channel *channel, const struct fl_msg *msg, int fd)
{
    struct end *e = self;

    e->messages++;
    e->last = msg->type;
    if (msg->type == fl_msg_type_device_gone)
        e->last_seq = msg->as.device_gone.seq;
    if (msg->type == fl_msg_type_readings)
        e->last_size = msg->as.readings.records.size;
    if (fd >= 0)
        e->fds[e->fd_count++] = fd;
    if (e->answers) {
        struct fl_msg answer = {.type = fl_msg_type_applied,
                                .as.applied.seq = msg->as.device_gone.seq};
        assert_ok(fl_channel_send(channel, &answer, NULL));
    }
    if (e->closes) {
        fl_channel_close(channel);
        fl_channel_close(channel);
        e->channel = NULL;
    }
}

static void on_lost(void *self, struct fl_channel *channel, const char *why)
{
    struct end *e = self;

    assert_ptr_equal(channel, e->channel);
    e->lost++;
    (void)fl_str_copy(e->why, sizeof e->why, why);
    e->channel = NULL;
    fl_channel_close(channel); /* harmless */
}

static void open_end(struct world *w, struct end *e, int fd, enum fl_msg_from from)
{
    struct fl_channel_handler handler = {.message = on_message, .lost = on_lost, .self = e};

    e->loop = w->loop;
    assert_ok(fl_channel_open(w->loop, fd, from, "test", &handler, &e->channel, &w->ctx));
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->raw = -1;
    log_lines = 0;
    fl_log_set_writer(count_log);
    assert_ok(fl_loop_create(&w->loop, &w->ctx));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    fl_channel_close(w->a.channel);
    fl_channel_close(w->b.channel);
    for (int i = 0; i < w->a.fd_count; i++)
        (void)close(w->a.fds[i]);
    if (w->raw >= 0)
        (void)close(w->raw);
    fl_loop_free(w->loop);
    fl_log_set_writer(NULL);
    free(w);
    return 0;
}

/* a hears b as `b_is`; b hears a as the hub. */
static void connect_ends(struct world *w, enum fl_msg_from b_is)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    open_end(w, &w->a, fds[0], b_is);
    open_end(w, &w->b, fds[1], FL_FROM_HUB);
}

static void connect_raw(struct world *w, enum fl_msg_from raw_is)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    open_end(w, &w->a, fds[0], raw_is);
    w->raw = fds[1];
}

static void rounds(struct world *w, int count)
{
    for (int i = 0; i < count; i++)
        assert_ok(fl_loop_round(w->loop, 0, &w->ctx));
}

static struct fl_msg gone(uint64_t seq)
{
    return (struct fl_msg){.type = fl_msg_type_device_gone,
                           .as.device_gone = {.seq = seq, .id = fl_slice_str("cam-01")}};
}

static struct fl_msg named(enum fl_msg_type type, const char *name)
{
    struct fl_msg msg = {.type = type};

    if (type == fl_msg_type_channel)
        msg.as.channel.peer = fl_slice_str(name);
    else
        msg.as.listen.name = fl_slice_str(name);
    return msg;
}

/* Writes bytes, with `fd_count` copies of descriptor 0. */
static void raw_write(struct world *w, const void *data, size_t size, int fd_count)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(64 * sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd_count) {
        msg.msg_control = control.space;
        msg.msg_controllen = CMSG_SPACE((size_t)fd_count * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN((size_t)fd_count * sizeof(int));
        for (size_t i = 0; i < (size_t)fd_count; i++)
            memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &w->raw, sizeof(int));
    }
    assert_int_equal(sendmsg(w->raw, &msg, 0), size);
}

static void raw_send(struct world *w, const struct fl_msg *msg, int fd_count)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_MSG);

    assert_ok(fl_msg_encode(msg, &out, &w->ctx));
    raw_write(w, out.data, out.size, fd_count);
    fl_buffer_free(&out);
}

static int open_fds(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* --- the good --- */

static void messages_arrive_in_order_and_are_gathered(void **state)
{
    struct world *w = *state;

    connect_ends(w, FL_FROM_FRONT);
    for (uint64_t i = 1; i <= 1000; i++) {
        struct fl_msg msg = gone(i);
        assert_ok(fl_channel_send(w->a.channel, &msg, &w->ctx));
    }
    assert_true(fl_channel_unsent(w->a.channel) > 1000);
    rounds(w, 20);
    assert_int_equal(fl_channel_unsent(w->a.channel), 0);
    assert_int_equal(w->b.messages, 1000);
    assert_int_equal(w->b.last_seq, 1000);
}

static void answer_from_inside_a_callback_arrives(void **state)
{
    struct world *w = *state;
    struct fl_msg msg = gone(7);

    connect_ends(w, FL_FROM_FRONT);
    w->b.answers = true;
    assert_ok(fl_channel_send(w->a.channel, &msg, &w->ctx));
    rounds(w, 4);
    assert_int_equal(w->a.last, fl_msg_type_applied);
}

static void messages_larger_than_the_socket_arrive_whole(void **state)
{
    struct world *w = *state;
    size_t size = FL_LIMIT_MSG - 64;
    uint8_t *records = calloc(1, size);
    struct fl_msg msg = {.type = fl_msg_type_readings, .as.readings.records = {records, size}};

    assert_non_null(records);
    connect_ends(w, FL_FROM_FRONT);
    for (int i = 0; i < 8; i++)
        assert_ok(fl_channel_send(w->b.channel, &msg, &w->ctx));
    rounds(w, 200);
    assert_int_equal(w->a.messages, 8);
    assert_int_equal(w->a.last_size, size);
    free(records);
}

static void descriptors_arrive_with_their_messages(void **state)
{
    struct world *w = *state;
    struct fl_msg plain = {.type = fl_msg_type_start, .as.start.log_level = fl_slice_str("info")};
    struct fl_msg channel = named(fl_msg_type_channel, "hub");
    struct fl_msg listen_msg = named(fl_msg_type_listen, "mqtt");
    int pipes[2];
    char byte = 0;

    assert_int_equal(pipe(pipes), 0);
    connect_ends(w, FL_FROM_PARENT);
    assert_ok(fl_channel_send(w->b.channel, &plain, &w->ctx));
    assert_ok(fl_channel_send_fd(w->b.channel, &channel, pipes[0], &w->ctx));
    assert_ok(fl_channel_send(w->b.channel, &plain, &w->ctx));
    assert_ok(fl_channel_send_fd(w->b.channel, &listen_msg, pipes[1], &w->ctx));
    (void)close(pipes[0]); /* the channel has its own */
    (void)close(pipes[1]);
    rounds(w, 4);
    assert_int_equal(w->a.messages, 4);
    assert_int_equal(w->a.fd_count, 2);
    assert_int_equal(write(w->a.fds[1], "x", 1), 1);
    assert_int_equal(read(w->a.fds[0], &byte, 1), 1);
    assert_int_equal(byte, 'x');
    assert_true(fcntl(w->a.fds[0], F_GETFD) & FD_CLOEXEC);
}

static void closing_in_a_callback_delivers_nothing_more(void **state)
{
    struct world *w = *state;
    struct fl_msg msg = gone(1);

    connect_ends(w, FL_FROM_FRONT);
    w->b.closes = true;
    assert_ok(fl_channel_send(w->a.channel, &msg, &w->ctx));
    assert_ok(fl_channel_send(w->a.channel, &msg, &w->ctx));
    rounds(w, 4);
    assert_int_equal(w->b.messages, 1);
    assert_int_equal(w->b.lost, 0);
    assert_int_equal(w->a.lost, 1);
    assert_int_equal(log_lines, 0);
}

static void what_was_sent_before_the_end_is_delivered(void **state)
{
    struct world *w = *state;
    struct fl_msg msg = {.type = fl_msg_type_applied};
    struct fl_msg to_the_dead = gone(1);

    connect_ends(w, FL_FROM_FRONT);
    assert_ok(fl_channel_send(w->b.channel, &msg, &w->ctx));
    fl_channel_close(w->b.channel); /* writes what is queued */
    w->b.channel = NULL;
    assert_ok(fl_channel_send(w->a.channel, &to_the_dead, &w->ctx));
    rounds(w, 3);
    assert_int_equal(w->a.messages, 1);
    assert_int_equal(w->a.lost, 1);
    assert_string_equal(w->a.why, "closed by the other side");
    assert_int_equal(log_lines, 0);
}

static void queue_is_bounded(void **state)
{
    struct world *w = *state;
    size_t size = FL_LIMIT_MSG - 64;
    uint8_t *records = calloc(1, size);
    struct fl_msg msg = {.type = fl_msg_type_readings, .as.readings.records = {records, size}};
    int sent = 0;

    assert_non_null(records);
    connect_raw(w, FL_FROM_FRONT);
    while (sent < 200 && fl_channel_send(w->a.channel, &msg, &w->ctx) == FL_OK)
        sent++;
    assert_int_equal(fl_channel_send(w->a.channel, &msg, &w->ctx), FL_ELIMIT);
    assert_contains(w->ctx.text, "no room");
    assert_true(fl_channel_unsent(w->a.channel) <= FL_LIMIT_CHANNEL_QUEUE);
    assert_true(sent >= 63);
    free(records);
}

static void waiting_descriptors_are_bounded(void **state)
{
    struct world *w = *state;
    struct fl_msg msg = named(fl_msg_type_channel, "hub");

    connect_raw(w, FL_FROM_HUB);
    for (int i = 0; i < FL_LIMIT_CHANNEL_FDS; i++)
        assert_ok(fl_channel_send_fd(w->a.channel, &msg, 0, &w->ctx));
    assert_int_equal(fl_channel_send_fd(w->a.channel, &msg, 0, &w->ctx), FL_ELIMIT);
    rounds(w, 2);
    assert_ok(fl_channel_send_fd(w->a.channel, &msg, 0, &w->ctx));
}

static void misuse_is_refused(void **state)
{
    struct world *w = *state;
    struct fl_msg plain = gone(1);
    struct fl_msg channel = named(fl_msg_type_channel, "hub");
    struct fl_msg bad = named(fl_msg_type_channel, "a name that is longer than it may be");
    struct fl_channel_handler handler = {.message = on_message, .lost = on_lost};
    struct fl_channel *none = NULL;
    int before = 0;

    connect_raw(w, FL_FROM_FRONT);
    before = open_fds();
    assert_int_equal(fl_channel_send(w->a.channel, &channel, &w->ctx), FL_EINVAL);
    assert_int_equal(fl_channel_send_fd(w->a.channel, &plain, 0, &w->ctx), FL_EINVAL);
    assert_int_equal(fl_channel_send_fd(w->a.channel, &bad, 0, &w->ctx), FL_EINVAL);
    assert_int_equal(fl_channel_send_fd(w->a.channel, &channel, -1, &w->ctx), FL_EINVAL);
    assert_int_equal(fl_channel_open(w->loop, open("/dev/null", O_RDONLY), FL_FROM_HUB, "x",
                                     &handler, &none, &w->ctx),
                     FL_EINVAL);
    assert_int_equal(fl_channel_open(w->loop, socket(AF_UNIX, SOCK_DGRAM, 0), FL_FROM_HUB, "x",
                                     &handler, &none, &w->ctx),
                     FL_EINVAL);
    assert_int_equal(open_fds(), before);
    fl_channel_close(NULL);
}

/* --- the hostile --- */

static void expect_violation(struct world *w, const char *why)
{
    int before = log_lines;

    rounds(w, 3);
    assert_int_equal(w->a.lost, 1);
    assert_contains(w->a.why, why);
    assert_true(log_lines > before);
}

static void garbage_ends_the_channel_loudly(void **state)
{
    struct world *w = *state;

    connect_raw(w, FL_FROM_FRONT);
    raw_write(w, "\x05\0\0\0\xff\xff\0\0\0", 9, 0);
    expect_violation(w, "unknown type 65535");
    assert_int_equal(w->a.messages, 0);
}

static void oversized_frame_is_refused_by_its_first_bytes(void **state)
{
    struct world *w = *state;

    connect_raw(w, FL_FROM_FRONT);
    raw_write(w, "\0\0\x10\0", 4, 0);
    expect_violation(w, "frame of 1048576 bytes");
}

static void undersized_frame_is_refused(void **state)
{
    struct world *w = *state;

    connect_raw(w, FL_FROM_FRONT);
    raw_write(w, "\1\0\0\0", 4, 0);
    expect_violation(w, "frame of 1 bytes");
}

static void forbidden_sender_is_refused_after_its_good_messages(void **state)
{
    struct world *w = *state;
    struct fl_msg good = {.type = fl_msg_type_applied};
    struct fl_msg bad = gone(3);

    connect_raw(w, FL_FROM_FRONT);
    raw_send(w, &good, 0);
    raw_send(w, &bad, 0);
    raw_send(w, &good, 0);
    expect_violation(w, "'device_gone' is not for this sender");
    assert_int_equal(w->a.messages, 1);
}

static void end_in_the_middle_of_a_message_is_a_violation(void **state)
{
    struct world *w = *state;

    connect_raw(w, FL_FROM_FRONT);
    raw_write(w, "\x0a\0\0\0\x15", 5, 0);
    (void)close(w->raw);
    w->raw = -1;
    expect_violation(w, "in the middle of a message");
}

static void message_in_single_bytes_arrives(void **state)
{
    struct world *w = *state;
    struct fl_msg msg = {.type = fl_msg_type_applied, .as.applied.seq = 5};
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_MSG);

    connect_raw(w, FL_FROM_FRONT);
    assert_ok(fl_msg_encode(&msg, &out, &w->ctx));
    for (size_t i = 0; i < out.size; i++) {
        assert_int_equal(w->a.messages, 0);
        raw_write(w, out.data + i, 1, 0);
        rounds(w, 1);
    }
    assert_int_equal(w->a.messages, 1);
    fl_buffer_free(&out);
}

static void descriptor_from_a_child_ends_the_channel(void **state)
{
    struct world *w = *state;
    struct fl_msg msg = {.type = fl_msg_type_applied};
    int before = 0;

    connect_raw(w, FL_FROM_FRONT);
    before = open_fds();
    raw_send(w, &msg, 3);
    expect_violation(w, "descriptors that were not asked for");
    assert_int_equal(open_fds(), before - 1); /* only the channel's own is gone */
}

static void descriptor_without_its_message_ends_the_channel(void **state)
{
    struct world *w = *state;
    struct fl_msg msg = {.type = fl_msg_type_start};
    int before = 0;

    connect_raw(w, FL_FROM_PARENT);
    before = open_fds();
    raw_send(w, &msg, 1);
    expect_violation(w, "a descriptor without its message");
    assert_int_equal(open_fds(), before - 1);
}

static void message_without_its_descriptor_ends_the_channel(void **state)
{
    struct world *w = *state;
    struct fl_msg msg = named(fl_msg_type_channel, "hub");

    connect_raw(w, FL_FROM_PARENT);
    raw_send(w, &msg, 0);
    expect_violation(w, "'channel' came without its descriptor");
}

static void flood_of_descriptors_is_closed(void **state)
{
    struct world *w = *state;
    int before = 0;

    connect_raw(w, FL_FROM_PARENT);
    before = open_fds();
    raw_write(w, "\x0a", 1, FL_LIMIT_CHANNEL_FDS + 1);
    expect_violation(w, "descriptors that were not asked for");
    assert_int_equal(open_fds(), before - 1);
}

static void slow_flood_of_descriptors_is_closed(void **state)
{
    struct world *w = *state;
    int before = 0;

    connect_raw(w, FL_FROM_PARENT);
    before = open_fds();
    raw_write(w, "\xf0", 1, 1);
    raw_write(w, "\0", 1, 1);
    raw_write(w, "\0", 1, 1);
    raw_write(w, "\0", 1, 1);
    for (int i = 0; i < FL_LIMIT_CHANNEL_FDS - 3; i++)
        raw_write(w, "\1", 1, 1);
    expect_violation(w, "");
    assert_int_equal(open_fds(), before - 1);
    assert_int_equal(w->a.messages, 0);
}

static void peer_that_stops_reading_loses_the_channel(void **state)
{
    struct world *w = *state;
    struct fl_msg msg = gone(1);

    connect_raw(w, FL_FROM_FRONT);
    (void)shutdown(w->raw, SHUT_RD);
    assert_ok(fl_channel_send(w->a.channel, &msg, &w->ctx));
    rounds(w, 3);
    assert_int_equal(w->a.lost, 1);
    assert_string_equal(w->a.why, "the other side takes no more");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(messages_arrive_in_order_and_are_gathered),
        CASE(answer_from_inside_a_callback_arrives),
        CASE(messages_larger_than_the_socket_arrive_whole),
        CASE(descriptors_arrive_with_their_messages),
        CASE(closing_in_a_callback_delivers_nothing_more),
        CASE(what_was_sent_before_the_end_is_delivered),
        CASE(queue_is_bounded),
        CASE(waiting_descriptors_are_bounded),
        CASE(misuse_is_refused),
        CASE(garbage_ends_the_channel_loudly),
        CASE(oversized_frame_is_refused_by_its_first_bytes),
        CASE(undersized_frame_is_refused),
        CASE(forbidden_sender_is_refused_after_its_good_messages),
        CASE(end_in_the_middle_of_a_message_is_a_violation),
        CASE(message_in_single_bytes_arrives),
        CASE(descriptor_from_a_child_ends_the_channel),
        CASE(descriptor_without_its_message_ends_the_channel),
        CASE(message_without_its_descriptor_ends_the_channel),
        CASE(flood_of_descriptors_is_closed),
        CASE(slow_flood_of_descriptors_is_closed),
        CASE(peer_that_stops_reading_loses_the_channel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
