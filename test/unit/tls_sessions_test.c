/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/limits.h"
#include "io/tls_sessions.h"

#include <openssl/ssl.h>
#include <stdio.h>

/* One that OpenSSL can write down and read back. */
static SSL_SESSION *make(unsigned char number)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    SSL_SESSION *session = SSL_SESSION_new();
    const unsigned char id[4] = {9, 9, 9, number};
    const unsigned char secret[48] = {number};

    assert_int_equal(SSL_SESSION_set1_id(session, id, sizeof id), 1);
    assert_int_equal(SSL_SESSION_set1_master_key(session, secret, sizeof secret), 1);
    assert_int_equal(SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION), 1);
    assert_int_equal(SSL_SESSION_set_cipher(session, sk_SSL_CIPHER_value(SSL_get_ciphers(ssl), 0)),
                     1);
    SSL_free(ssl);
    SSL_CTX_free(context);
    return session;
}

static void add(struct fl_tls_sessions *sessions, unsigned char number, const char *device)
{
    SSL_SESSION *session = make(number);
    struct fl_cert_info of = {.not_before = 1000, .not_after = 2000};

    (void)fl_str_copy(of.name, sizeof of.name, device);
    (void)fl_str_copy(of.serial, sizeof of.serial, "01AB");
    memset(of.sha256, number, sizeof of.sha256);
    assert_ok(fl_tls_sessions_add(sessions, session, &of));
    SSL_SESSION_free(session);
}

static void remembered_sessions_are_bounded(void **state)
{
    struct fl_tls_sessions sessions;
    struct fl_cert_info info = {0};
    SSL_SESSION *found = NULL;

    (void)state;
    fl_tls_sessions_init(&sessions, 10);
    for (unsigned char i = 0; i < 20; i++) {
        const char name[] = {(char)('a' + i / 2), 0};

        add(&sessions, i, name);
        assert_true(sessions.count <= 10);
    }
    assert_null(fl_tls_sessions_find(&sessions, fl_slice("\x9\x9\x9\0", 4), &info));
    found = fl_tls_sessions_find(&sessions, fl_slice("\x9\x9\x9\x13", 4), &info);
    assert_non_null(found);
    SSL_SESSION_free(found);
    assert_string_equal(info.name, "j");
    assert_int_equal(fl_tls_sessions_drop(&sessions, fl_slice_str("j")), 2);
    assert_int_equal(sessions.count, 8);
    assert_int_equal(sessions.devices.count, 4);
    fl_tls_sessions_free(&sessions);
}

static void read_back(struct fl_tls_sessions *sessions, struct fl_slice records)
{
    struct fl_keep record;

    while (fl_keep_decode(&records, &record, NULL) == FL_OK)
        fl_tls_sessions_restore(sessions, &record);
    assert_int_equal(records.size, 0);
}

static void what_was_written_down_is_there_in_the_next_process(void **state)
{
    struct fl_tls_sessions before;
    struct fl_tls_sessions after;
    struct fl_buffer log = FL_BUFFER(1U << 20);
    struct fl_cert_info info = {0};
    SSL_SESSION *found = NULL;

    (void)state;
    fl_tls_sessions_init(&before, 100);
    fl_tls_sessions_init(&after, 100);
    fl_tls_sessions_keep(&before, "mqtt");
    add(&before, 1, "camera");
    add(&before, 2, "camera");
    add(&before, 3, "meter");
    fl_tls_sessions_remove(&before, fl_slice("\x9\x9\x9\x1", 4));
    fl_tls_sessions_log(&before, &log);
    read_back(&after, fl_buffer_slice(&log));
    assert_int_equal(after.count, 2);
    assert_null(fl_tls_sessions_find(&after, fl_slice("\x9\x9\x9\x1", 4), &info));
    found = fl_tls_sessions_find(&after, fl_slice("\x9\x9\x9\x2", 4), &info);
    assert_non_null(found);
    SSL_SESSION_free(found);
    assert_string_equal(info.name, "camera");
    assert_string_equal(info.serial, "01AB");
    assert_int_equal(info.not_after, 2000);
    assert_int_equal(info.sha256[31], 2);
    /* Those of one device can be dropped there, too. */
    assert_int_equal(fl_tls_sessions_drop(&after, fl_slice_str("meter")), 1);
    fl_tls_sessions_free(&before);
    fl_tls_sessions_free(&after);
    fl_buffer_free(&log);
}

static void a_walk_writes_everything_in_pieces(void **state)
{
    struct fl_tls_sessions before;
    struct fl_tls_sessions after;
    struct fl_buffer log = FL_BUFFER(1U << 20);
    char name[8];
    size_t bucket = 0;
    unsigned steps = 0;

    (void)state;
    fl_tls_sessions_init(&before, 100);
    fl_tls_sessions_init(&after, 100);
    for (unsigned char i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof name, "d-%u", i / 2U);
        add(&before, i, name);
    }
    fl_tls_sessions_keep(&before, "mqtt");
    for (bool all = false; !all; steps++) {
        all = fl_tls_sessions_walk(&before, &bucket, 300);
        fl_tls_sessions_log(&before, &log);
    }
    assert_true(steps > 5);
    read_back(&after, fl_buffer_slice(&log));
    assert_int_equal(after.count, 50);
    fl_tls_sessions_free(&before);
    fl_tls_sessions_free(&after);
    fl_buffer_free(&log);
}

static void records_that_are_not_understood_are_ignored(void **state)
{
    struct fl_tls_sessions sessions;
    struct fl_keep record = {.type = fl_keep_type_tls_session};

    (void)state;
    fl_tls_sessions_init(&sessions, 10);
    fl_tls_sessions_restore(&sessions, &record);
    record.as.tls_session.session = fl_slice_str("not DER");
    fl_tls_sessions_restore(&sessions, &record);
    record = (struct fl_keep){.type = fl_keep_type_tls_gone, .as.tls_gone.id = fl_slice_str("?")};
    fl_tls_sessions_restore(&sessions, &record);
    assert_int_equal(sessions.count, 0);
    fl_tls_sessions_free(&sessions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remembered_sessions_are_bounded),
        cmocka_unit_test(what_was_written_down_is_there_in_the_next_process),
        cmocka_unit_test(a_walk_writes_everything_in_pieces),
        cmocka_unit_test(records_that_are_not_understood_are_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
