/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "trust/eventlog.h"
#include "trust/key.h"

#include <stdlib.h>

#define SHA1 0x0004
#define SHA256 0x000B
#define SHA384 0x000C
#define NO_ACTION 3
#define SEPARATOR 4

static void put(struct fl_buffer *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        assert_ok(fl_buffer_append_byte(out, (uint8_t)(value >> (8 * i))));
}

static void put_zeros(struct fl_buffer *out, size_t size)
{
    put(out, 0, 0);
    for (size_t i = 0; i < size; i++)
        assert_ok(fl_buffer_append_byte(out, 0));
}

/* The first event, as UEFI writes it, for SHA-1 and `second`. */
static void begin(struct fl_buffer *log, uint16_t second, uint16_t second_size)
{
    struct fl_buffer data = FL_BUFFER(256);

    assert_ok(fl_buffer_append(&data, "Spec ID Event03", 16));
    put(&data, 0, 4);
    put(&data, 0x02000002, 4);
    put(&data, 2, 4);
    put(&data, SHA1, 2);
    put(&data, 20, 2);
    put(&data, second, 2);
    put(&data, second_size, 2);
    put(&data, 0, 1);
    put(log, 0, 4);
    put(log, NO_ACTION, 4);
    put_zeros(log, 20);
    put(log, fl_buffer_slice(&data).size, 4);
    assert_ok(fl_buffer_append_slice(log, fl_buffer_slice(&data)));
    fl_buffer_free(&data);
}

static void add(struct fl_buffer *log, uint32_t pcr, uint32_t type, uint8_t digest,
                struct fl_slice data)
{
    put(log, pcr, 4);
    put(log, type, 4);
    put(log, 2, 4);
    put(log, SHA1, 2);
    put_zeros(log, 20);
    put(log, SHA256, 2);
    for (int i = 0; i < 32; i++)
        put(log, digest, 1);
    put(log, data.size, 4);
    assert_ok(fl_buffer_append_slice(log, data));
}

static void extend(uint8_t value[32], uint8_t digest)
{
    uint8_t both[64];

    memcpy(both, value, 32);
    memset(both + 32, digest, 32);
    fl_sha256(fl_slice(both, sizeof both), value);
}

static void a_log_leads_to_what_the_tpm_would_have(void **state)
{
    struct fl_buffer bytes = FL_BUFFER(65536);
    struct fl_event_log log;
    struct fl_context ctx = {0};
    uint8_t zero[32] = {0};
    uint8_t seven[32] = {0};
    uint8_t drtm[32];

    (void)state;
    memset(drtm, 0xFF, sizeof drtm);
    begin(&bytes, SHA256, 32);
    add(&bytes, 0, 8, 0x11, fl_slice_str("version"));
    add(&bytes, 7, 0x80000001, 0x22, fl_slice_str("SecureBoot"));
    add(&bytes, 7, SEPARATOR, 0x33, fl_slice_str(""));
    add(&bytes, 4, NO_ACTION, 0x44, fl_slice_str("not measured"));
    add(&bytes, 17, 1, 0x55, fl_slice_str("launched later"));
    if (fl_event_log_replay(fl_buffer_slice(&bytes), &log, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
    extend(zero, 0x11);
    extend(seven, 0x22);
    extend(seven, 0x33);
    extend(drtm, 0x55);
    assert_memory_equal(log.pcrs.value[0], zero, 32);
    assert_memory_equal(log.pcrs.value[7], seven, 32);
    assert_memory_equal(log.pcrs.value[17], drtm, 32);
    memset(zero, 0, 32);
    assert_memory_equal(log.pcrs.value[4], zero, 32);
    assert_int_equal(log.events, 4);
    assert_int_equal(log.pcrs.present, 0xFF | 1U << 17);
    fl_buffer_free(&bytes);
}

static void the_locality_of_the_start_is_in_pcr_0(void **state)
{
    struct fl_buffer bytes = FL_BUFFER(65536);
    struct fl_event_log log;
    uint8_t zero[32] = {0};

    (void)state;
    begin(&bytes, SHA256, 32);
    add(&bytes, 0, NO_ACTION, 0, fl_slice("StartupLocality\0\3", 17));
    add(&bytes, 0, 8, 0x11, fl_slice_str(""));
    assert_ok(fl_event_log_replay(fl_buffer_slice(&bytes), &log, NULL));
    zero[31] = 3;
    extend(zero, 0x11);
    assert_memory_equal(log.pcrs.value[0], zero, 32);
    fl_buffer_free(&bytes);
}

static void refuse(const struct fl_buffer *bytes, enum fl_error error, const char *words)
{
    struct fl_event_log log;
    struct fl_context ctx = {0};

    assert_int_equal(fl_event_log_replay(fl_buffer_slice(bytes), &log, &ctx), error);
    assert_contains(ctx.text, words);
}

static void what_is_no_such_log_is_refused_with_words(void **state)
{
    struct fl_buffer bytes = FL_BUFFER(65536);

    (void)state;
    refuse(&bytes, FL_EPARSE, "event 0: it ends too early");
    begin(&bytes, SHA384, 48);
    refuse(&bytes, FL_EUNSUPPORTED, "no SHA-256");
    fl_buffer_clear(&bytes);
    begin(&bytes, SHA256, 20);
    refuse(&bytes, FL_EPARSE, "impossible size");
    fl_buffer_clear(&bytes);
    /* A log of a TPM 1.2 begins with an event like any other. */
    put(&bytes, 0, 4);
    put(&bytes, 8, 4);
    put_zeros(&bytes, 20);
    put(&bytes, 0, 4);
    refuse(&bytes, FL_EUNSUPPORTED, "TPM 1.2");
    fl_buffer_clear(&bytes);
    begin(&bytes, SHA256, 32);
    add(&bytes, 24, 8, 0, fl_slice_str(""));
    refuse(&bytes, FL_EPARSE, "event 1: there is no such PCR");
    fl_buffer_clear(&bytes);
    begin(&bytes, SHA256, 32);
    put(&bytes, 0, 4);
    put(&bytes, 8, 4);
    put(&bytes, 1, 4);
    put(&bytes, SHA384, 2);
    refuse(&bytes, FL_EPARSE, "did not announce");
    fl_buffer_clear(&bytes);
    begin(&bytes, SHA256, 32);
    put(&bytes, 0, 4);
    put(&bytes, 8, 4);
    put(&bytes, 0, 4);
    put(&bytes, 0, 4);
    refuse(&bytes, FL_EPARSE, "it has no SHA-256 digest");
    fl_buffer_clear(&bytes);
    begin(&bytes, SHA256, 32);
    put(&bytes, 0, 4);
    put(&bytes, 8, 4);
    put(&bytes, 4000000000U, 4);
    refuse(&bytes, FL_EPARSE, "more digests");
    fl_buffer_free(&bytes);
}

static void a_log_that_ends_anywhere_is_refused(void **state)
{
    struct fl_buffer bytes = FL_BUFFER(65536);
    struct fl_slice whole = {0};
    struct fl_event_log log;
    size_t first = 0;

    (void)state;
    begin(&bytes, SHA256, 32);
    first = fl_buffer_slice(&bytes).size;
    add(&bytes, 0, 8, 0x11, fl_slice_str("some data"));
    whole = fl_buffer_slice(&bytes);
    for (size_t i = 0; i < whole.size; i++) {
        uint8_t *exact = malloc(i ? i : 1);

        memcpy(exact, whole.data, i);
        if (i != first) /* the first event alone is a log of nothing */
            assert_int_equal(fl_event_log_replay(fl_slice(exact, i), &log, NULL), FL_EPARSE);
        free(exact);
    }
    fl_buffer_free(&bytes);
}

static void a_log_without_end_is_refused(void **state)
{
    struct fl_buffer bytes = FL_BUFFER((size_t)FL_LIMIT_EVENT_LOG + 100000);

    (void)state;
    begin(&bytes, SHA256, 32);
    for (int i = 0; i <= FL_LIMIT_EVENT_LOG_EVENTS; i++) {
        put(&bytes, 0, 4);
        put(&bytes, NO_ACTION, 4);
        put(&bytes, 0, 4);
        put(&bytes, 0, 4);
    }
    refuse(&bytes, FL_ELIMIT, "more than 8192 events");
    while (fl_buffer_slice(&bytes).size <= FL_LIMIT_EVENT_LOG)
        put_zeros(&bytes, 1000);
    refuse(&bytes, FL_ELIMIT, "octets");
    fl_buffer_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_leads_to_what_the_tpm_would_have),
        cmocka_unit_test(the_locality_of_the_start_is_in_pcr_0),
        cmocka_unit_test(what_is_no_such_log_is_refused_with_words),
        cmocka_unit_test(a_log_that_ends_anywhere_is_refused),
        cmocka_unit_test(a_log_without_end_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
