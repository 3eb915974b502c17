/* SPDX-License-Identifier: Apache-2.0
 *
 * Readings at rest: sealed under keys that the signer gives out, kept as long as the profile says,
 * erased for good.
 */
#include "test/twin/hub_world.h"

#include "base/log.h"
#include "service/bucket.h"
#include "service/device_key.h"

#include <stdio.h>
#include <stdlib.h>

#define API "/api/v1"
#define DAY_MS ((fl_time_t)24 * 3600 * 1000)

static const char *const keeping =
    "profile camera {\n    version 2\n    publish d/{device}/t/#\n    keep 30d\n"
    "    stream temperature {\n        keep 1d\n    }\n    stream humidity {\n    }\n"
    "    stream count {\n        keep forever\n    }\n}\n";

struct rows {
    size_t count;
    size_t open;
    uint32_t generation; /* of the last */
};

static bool look(void *to, uint64_t position, const struct fl_reading *r)
{
    struct rows *rows = to;

    (void)position;
    rows->count++;
    rows->open += r->generation == 0;
    rows->generation = r->generation;
    return true;
}

/* What the store holds, without any key. */
static struct rows stored(struct hub_world *w, const char *device)
{
    struct rows rows = {0};
    struct fl_reading_query q = {.device = fl_slice_str(device),
                                 .from = INT64_MIN,
                                 .until = FL_TIME_NEVER,
                                 .limit = 1000000};

    assert_ok(w->hub.store.ops->query_readings(w->hub.store.self, &q, look, &rows, NULL));
    return rows;
}

static void tick(struct hub_world *w, int times)
{
    for (int i = 0; i < times; i++) {
        (void)fl_hub_tick(&w->hub);
        hub_answer_keys(w);
    }
}

static void put_open(struct hub_world *w, const char *device, const char *stream, fl_time_t t)
{
    struct fl_reading r = {
        .device = fl_slice_str(device), .stream = fl_slice_str(stream), .t = t, .value = 21.5};

    assert_ok(w->hub.store.ops->append_readings(w->hub.store.self, &r, 1, NULL));
}

static const json_t *row(const struct hub_world *w, size_t at)
{
    return json_array_get(w->answer, at);
}

static double number(const json_t *object, const char *member)
{
    return json_number_value(json_object_get(object, member));
}

/* --- keys --- */

static void what_is_stored_is_sealed_and_read_back(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_readings(w, 1, "cam-01", 20.5, 3);
    fl_hub_flush(&w->hub);
    assert_int_equal(w->readings_error, FL_OK);
    assert_int_equal(stored(w, "cam-01").count, 3);
    assert_int_equal(stored(w, "cam-01").open, 0);
    assert_int_equal(stored(w, "cam-01").generation, 1);
    hub_call(w, "GET", API "/devices/cam-01/readings", "", "");
    assert_true(number(row(w, 1), "value") > 21.4 && number(row(w, 1), "value") < 21.6);
    /* The same again is stored once. */
    hub_readings(w, 2, "cam-01", 20.5, 3);
    fl_hub_flush(&w->hub);
    assert_int_equal(stored(w, "cam-01").count, 3);
}

static void a_batch_waits_for_its_key_and_holds_nobody_up(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_enrol(w, "cam-02");
    hub_readings(w, 1, "cam-02", 1, 1);
    fl_hub_flush(&w->hub);
    w->keys_are_silent = true;
    w->counts[fl_msg_type_readings_done] = 0;
    hub_readings(w, 2, "cam-01", 1, 5);
    hub_readings(w, 3, "cam-01", 10, 5);
    hub_readings(w, 4, "cam-02", 2, 5);
    fl_hub_flush(&w->hub);
    assert_int_equal(w->counts[fl_msg_type_readings_done], 1);
    assert_int_equal(w->hub.waiting_count, 2);
    assert_true(fl_hub_is_waiting(&w->hub));
    hub_answer_keys(w);
    fl_hub_flush(&w->hub);
    assert_int_equal(w->counts[fl_msg_type_readings_done], 3);
    assert_int_equal(w->readings_error, FL_OK);
    assert_int_equal(stored(w, "cam-01").count, 10);
    assert_int_equal(w->hub.waiting_count, 0);
    assert_int_equal(w->hub.waiting_bytes, 0);
}

static void without_the_signer_readings_are_refused_never_acknowledged(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    w->keys_are_silent = true;
    hub_readings(w, 1, "cam-01", 1, 5);
    assert_int_equal(w->counts[fl_msg_type_readings_done], 0);
    /* It does not answer. */
    w->monotonic += 5000;
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->counts[fl_msg_type_readings_done], 1);
    assert_int_equal(w->readings_error, FL_EBUSY);
    /* It goes away. */
    w->keys_asked.count = 0;
    hub_readings(w, 2, "cam-01", 1, 5);
    fl_hub_signer_down(&w->hub);
    assert_int_equal(w->counts[fl_msg_type_readings_done], 2);
    assert_int_equal(w->readings_error, FL_EBUSY);
    /* It is away. */
    hub_readings(w, 3, "cam-01", 1, 5);
    assert_int_equal(w->counts[fl_msg_type_readings_done], 3);
    fl_hub_flush(&w->hub);
    assert_int_equal(stored(w, "cam-01").count, 0);
    hub_call(w, "GET", API "/devices/cam-01/readings", "", "");
    assert_int_equal(w->status, 200);
    /* It comes back. */
    w->keys_are_silent = false;
    w->keys_asked.count = 0;
    fl_hub_signer_up(&w->hub);
    hub_readings(w, 4, "cam-01", 1, 5);
    fl_hub_flush(&w->hub);
    assert_int_equal(w->readings_error, FL_OK);
    assert_int_equal(stored(w, "cam-01").count, 5);
}

static void batches_that_wait_are_bounded(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    w->keys_are_silent = true;
    for (uint64_t i = 0; i < FL_LIMIT_BATCHES_WAITING; i++)
        hub_readings(w, i, "cam-01", 1, 1);
    assert_int_equal(w->counts[fl_msg_type_readings_done], 0);
    assert_int_equal(w->key_requests, 1);
    hub_readings(w, 5000, "cam-01", 1, 1);
    assert_int_equal(w->counts[fl_msg_type_readings_done], 1);
    assert_int_equal(w->readings_error, FL_EBUSY);
    fl_hub_front_down(&w->hub); /* it will send them again */
    assert_int_equal(w->hub.waiting_count, 0);
}

static void keys_in_memory_are_bounded(void **state)
{
    struct fl_keyring ring;
    char device[32];
    struct fl_hub_key *first = NULL;
    (void)state;

    fl_keyring_init(&ring);
    for (int i = 0; i < FL_LIMIT_DATA_KEYS; i++) {
        (void)snprintf(device, sizeof device, "d-%d", i);
        assert_non_null(fl_keyring_add(&ring, fl_slice_str(device)));
    }
    first = fl_keyring_find(&ring, fl_slice_str("d-0")); /* used last */
    assert_non_null(first);
    assert_non_null(fl_keyring_add(&ring, fl_slice_str("one-more")));
    assert_null(fl_keyring_find(&ring, fl_slice_str("d-1")));
    assert_ptr_equal(fl_keyring_find(&ring, fl_slice_str("d-0")), first);
    assert_int_equal(ring.map.count, FL_LIMIT_DATA_KEYS);
    fl_keyring_free(&ring);
}

static void a_call_waits_for_the_key_that_it_needs(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_readings(w, 1, "cam-01", 1, 5);
    fl_hub_flush(&w->hub);
    fl_hub_forget_key(&w->hub, fl_slice_str("cam-01"));
    w->keys_are_silent = true;
    w->answers = 0;
    hub_call(w, "GET", API "/devices/cam-01/readings", "", "");
    assert_int_equal(w->answers, 0);
    hub_answer_keys(w);
    assert_int_equal(w->answers, 1);
    assert_int_equal(json_array_size(w->answer), 5);
    fl_hub_forget_key(&w->hub, fl_slice_str("cam-01"));
    hub_call(w, "GET", API "/devices/cam-01/readings", "", "");
    fl_hub_signer_down(&w->hub);
    assert_int_equal(w->answers, 2);
    assert_int_equal(w->status, 503);
}

/* --- erasing --- */

static void erased_readings_are_gone_and_new_ones_have_another_key(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_readings(w, 1, "cam-01", 1, 5);
    fl_hub_flush(&w->hub);
    hub_call(w, "POST", API "/devices/cam-01/erase", "", "{\"reason\":\"the tenant left\"}");
    assert_int_equal(w->status, 200);
    assert_int_equal(number(w->answer, "generation"), 1);
    tick(w, 5);
    assert_int_equal(stored(w, "cam-01").count, 0);
    hub_call(w, "GET", API "/devices/cam-01/privacy", "", "");
    assert_int_equal(number(w->answer, "generation"), 2);
    assert_int_equal(number(w->answer, "erased"), 1);
    assert_int_equal(number(w->answer, "streams_erased"), 0);
    w->now += 1000;
    hub_readings(w, 2, "cam-01", 1, 2);
    fl_hub_flush(&w->hub);
    assert_int_equal(w->readings_error, FL_OK);
    assert_int_equal(stored(w, "cam-01").generation, 2);
    hub_call(w, "GET", API "/audit", "", "");
    assert_string_equal(
        json_string_value(json_object_get(row(w, json_array_size(w->answer) - 2), "what")),
        "privacy.erase");
    assert_string_equal(
        json_string_value(json_object_get(
            json_object_get(row(w, json_array_size(w->answer) - 2), "detail"), "reason")),
        "the tenant left");
    assert_string_equal(
        json_string_value(json_object_get(row(w, json_array_size(w->answer) - 1), "what")),
        "privacy.erased");
}

static void an_erasure_that_was_begun_is_finished(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_readings(w, 1, "cam-01", 1, 5);
    fl_hub_flush(&w->hub);
    w->keys_are_silent = true;
    w->answers = 0;
    hub_call(w, "POST", API "/devices/cam-01/erase", "", "");
    assert_int_equal(w->answers, 0);
    hub_call(w, "POST", API "/devices/cam-01/erase", "", "");
    assert_int_equal(w->status, 503); /* one is under way */
    /* From the first moment nothing is shown and nothing is stored. */
    hub_call(w, "GET", API "/devices/cam-01/readings", "", "");
    assert_string_equal(json_string_value(json_object_get(row(w, 0), "state")), "erased");
    hub_readings(w, 2, "cam-01", 50, 5);
    assert_int_equal(w->readings_error, FL_EBUSY);
    fl_hub_signer_down(&w->hub);
    assert_int_equal(w->status, 503);
    w->keys_asked.count = 0;
    tick(w, 2);
    assert_int_equal(w->keys_asked.count, 0);
    fl_hub_signer_up(&w->hub);
    tick(w, 5);
    assert_int_equal(stored(w, "cam-01").count, 0);
    hub_call(w, "GET", API "/devices/cam-01/privacy", "", "");
    assert_int_equal(number(w->answer, "erased"), 1);
    assert_string_equal(hub_text(w, "key"), "none");
}

static void a_signer_that_is_away_erases_nothing(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_readings(w, 1, "cam-01", 1, 5);
    fl_hub_flush(&w->hub);
    fl_hub_signer_down(&w->hub);
    hub_call(w, "POST", API "/devices/cam-01/erase", "", "");
    assert_int_equal(w->status, 503);
    fl_hub_signer_up(&w->hub);
    tick(w, 3);
    hub_call(w, "GET", API "/devices/cam-01/readings", "", "");
    assert_int_equal(json_array_size(w->answer), 5);
    assert_true(json_is_number(json_object_get(row(w, 0), "value")));
}

static void a_large_erasure_goes_in_steps(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    for (uint64_t i = 0; i < 3; i++) {
        w->now += 1000;
        hub_readings(w, i, "cam-01", 0, FL_LIMIT_SWEEP_READINGS / 2);
    }
    fl_hub_flush(&w->hub);
    hub_call(w, "POST", API "/devices/cam-01/erase", "", "");
    assert_int_equal(fl_hub_tick(&w->hub), 1); /* there is more to do */
    assert_int_equal(stored(w, "cam-01").count, FL_LIMIT_SWEEP_READINGS / 2);
    hub_call(w, "GET", API "/devices/cam-01/readings", "", "");
    assert_string_equal(json_string_value(json_object_get(row(w, 0), "state")), "erased");
    tick(w, 3);
    assert_int_equal(stored(w, "cam-01").count, 0);
}

static void what_was_never_sealed_is_erased_too_and_not_sealed_meanwhile(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    for (int i = 0; i < FL_LIMIT_SWEEP_READINGS + 10; i++)
        put_open(w, "cam-01", "temperature", w->now + i);
    hub_call(w, "POST", API "/devices/cam-01/erase", "", "");
    assert_int_equal(w->status, 200);
    assert_int_equal(number(w->answer, "generation"), 0); /* there was no key yet */
    hub_call(w, "GET", API "/devices/cam-01/readings", "limit=1", "");
    assert_string_equal(json_string_value(json_object_get(row(w, 0), "state")), "erased");
    w->now += 1000000;
    hub_readings(w, 1, "cam-01", 1, 1);
    fl_hub_flush(&w->hub);
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(stored(w, "cam-01").count, 11);
    assert_int_equal(stored(w, "cam-01").open, 10);
    tick(w, 5);
    assert_int_equal(stored(w, "cam-01").count, 1);
    assert_int_equal(stored(w, "cam-01").open, 0);
}

static void a_lost_key_is_an_error_and_the_device_keeps_its_readings(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_readings(w, 1, "cam-01", 1, 5);
    fl_hub_flush(&w->hub);
    /* keys/device-keys is an older copy, or empty. */
    fl_keystore_free(w->keystore);
    assert_ok(w->key_files.truncate(w->key_files.self, FL_KEYSTORE_FILE, 0, NULL));
    assert_ok(fl_keystore_open(&w->key_files, &w->random, (const uint8_t[FL_DATAKEY_SIZE]){7},
                               &w->keystore, NULL));
    fl_hub_forget_key(&w->hub, fl_slice_str("cam-01"));
    hub_call(w, "GET", API "/devices/cam-01/readings", "", "");
    assert_int_equal(w->status, 500);
    assert_contains(hub_text(w, "detail"), "older copy");
    hub_readings(w, 2, "cam-01", 9, 5);
    assert_int_equal(w->readings_error, FL_EBUSY);
    /* Erasing it is the way out. */
    hub_call(w, "POST", API "/devices/cam-01/erase", "", "");
    assert_int_equal(w->status, 200);
}

/* The database is an older copy: the record of the erasure is not in it. */
static void a_copy_from_before_an_erasure_shows_nothing(void **state)
{
    struct hub_world *w = *state;
    uint32_t erased = 0;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_readings(w, 1, "cam-01", 1, 5);
    fl_hub_flush(&w->hub);
    assert_ok(fl_keystore_destroy(w->keystore, fl_slice_str("cam-01"), &erased, NULL));
    fl_hub_forget_key(&w->hub, fl_slice_str("cam-01"));
    hub_call(w, "GET", API "/devices/cam-01/readings", "", "");
    assert_int_equal(w->status, 200);
    assert_int_equal(json_array_size(w->answer), 5);
    assert_true(json_is_null(json_object_get(row(w, 0), "value")));
    assert_string_equal(json_string_value(json_object_get(row(w, 0), "state")), "erased");
    hub_call(w, "GET", API "/devices/cam-01/privacy", "", "");
    assert_int_equal(number(w->answer, "streams_erased"), 1);
    w->now += 1000;
    hub_readings(w, 2, "cam-01", 1, 1);
    fl_hub_flush(&w->hub);
    assert_int_equal(w->readings_error, FL_OK);
    assert_int_equal(stored(w, "cam-01").generation, 2);
}

/* --- retention --- */

static void add_profile(struct hub_world *w, const char *text)
{
    struct fl_buffer signed_text = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    char *body = NULL;
    json_t *object = NULL;

    assert_ok(fl_profile_sign(fl_slice_str(text), w->profile_key, &signed_text, NULL));
    object = json_pack("{s:s}", "text", fl_buffer_str(&signed_text));
    body = json_dumps(object, 0);
    hub_call(w, "POST", API "/profiles", "", body);
    assert_true(w->status == 200 || w->status == 201);
    free(body);
    json_decref(object);
    fl_buffer_free(&signed_text);
}

static void readings_are_kept_as_long_as_the_profile_says(void **state)
{
    struct hub_world *w = *state;
    const fl_time_t ages[] = {40 * DAY_MS, 2 * DAY_MS, DAY_MS / 2};
    static const char *const streams[] = {"temperature", "humidity", "count", "unnamed"};

    hub_world_start(w);
    add_profile(w, keeping);
    hub_enrol(w, "cam-01");
    for (size_t s = 0; s < 4; s++)
        for (size_t i = 0; i < 3; i++)
            put_open(w, "cam-01", streams[s], w->now - ages[i]);
    put_open(w, "stranger", "temperature", w->now - ages[0]);
    tick(w, 3);
    assert_int_equal(stored(w, "cam-01").count, 1 + 2 + 3 + 2);
    assert_int_equal(stored(w, "stranger").count, 1); /* nobody said how long */
    w->now += DAY_MS;
    tick(w, 3); /* the next round is not due yet */
    assert_int_equal(stored(w, "cam-01").count, 1 + 2 + 3 + 2);
    w->monotonic += 10000;
    tick(w, 3);
    assert_int_equal(stored(w, "cam-01").count, 0 + 2 + 3 + 2);
    hub_call(w, "GET", API "/devices/cam-01/privacy", "", "");
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(w->answer, "streams"), 0), "keep")),
                        "1d");
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(w->answer, "streams"), 2), "keep")),
                        "forever");
}

static void retention_goes_in_bounded_steps(void **state)
{
    struct hub_world *w = *state;
    size_t before = 0;

    hub_world_start(w);
    add_profile(w, keeping);
    hub_enrol(w, "cam-01");
    for (uint64_t i = 0; i < 3; i++) {
        w->now += 1000;
        hub_readings(w, i, "cam-01", 0, FL_LIMIT_SWEEP_READINGS);
        fl_hub_flush(&w->hub);
    }
    w->now += 2 * DAY_MS;
    hub_settle_list(w);
    for (int i = 0; i < 3; i++) {
        before = stored(w, "cam-01").count;
        assert_int_equal(fl_hub_tick(&w->hub), 1);
        assert_int_equal(stored(w, "cam-01").count, before - FL_LIMIT_SWEEP_READINGS);
    }
    assert_int_equal(fl_hub_tick(&w->hub), 1000);
}

static void a_full_disk_does_not_stop_the_sweep_for_good(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    add_profile(w, keeping);
    hub_enrol(w, "cam-01");
    put_open(w, "cam-01", "temperature", w->now - 2 * DAY_MS);
    fl_store_twin_fail(&w->hub.store, 1, FL_EFULL);
    tick(w, 1);
    assert_int_equal(stored(w, "cam-01").count, 1);
    tick(w, 2);
    assert_int_equal(stored(w, "cam-01").count, 0);
}

/* --- readings of an older version --- */

static void readings_of_an_older_version_are_sealed_bit_by_bit(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    for (int i = 0; i < FL_LIMIT_SWEEP_READINGS + 10; i++)
        put_open(w, "cam-01", "temperature", w->now + i);
    put_open(w, "cam-02", "temperature", w->now);
    hub_call(w, "GET", API "/devices/cam-01/readings", "limit=1", "");
    assert_true(number(row(w, 0), "value") > 21.4);
    tick(w, 1); /* asks for the key */
    assert_int_equal(fl_hub_tick(&w->hub), 1);
    assert_int_equal(stored(w, "cam-01").open, 10);
    tick(w, 10);
    assert_int_equal(stored(w, "cam-01").open, 0);
    assert_int_equal(stored(w, "cam-01").count, FL_LIMIT_SWEEP_READINGS + 10);
    assert_int_equal(stored(w, "cam-02").open, 0);
    assert_true(w->hub.sweep.all_sealed);
    hub_call(w, "GET", API "/devices/cam-01/readings", "limit=1", "");
    assert_true(number(row(w, 0), "value") > 21.4);
}

static void what_cannot_be_sealed_now_is_sealed_later(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    put_open(w, "cam-01", "temperature", w->now);
    (void)fl_hub_tick(&w->hub);
    hub_answer_keys(w);
    fl_store_twin_fail(&w->hub.store, 1, FL_EFULL);
    tick(w, 3);
    assert_int_equal(stored(w, "cam-01").open, 1);
    assert_false(w->hub.sweep.all_sealed);
    w->monotonic += 60000;
    tick(w, 3);
    assert_int_equal(stored(w, "cam-01").open, 0);
    assert_true(w->hub.sweep.all_sealed);
}

/* --- buckets --- */

static void buckets_tell_of_each_stream_and_time(void **state)
{
    struct hub_world *w = *state;
    const json_t *b = NULL;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    w->now -= w->now % 60000;
    hub_readings(w, 1, "cam-01", 10, 3); /* 10 11 12 at .000 .001 .002 */
    w->now += 59999;
    hub_readings(w, 2, "cam-01", 50, 2); /* 50 in the same minute, 51 in the next */
    fl_hub_flush(&w->hub);
    put_open(w, "cam-01", "humidity", w->now);
    hub_call(w, "GET", API "/devices/cam-01/readings", "every=1m", "");
    assert_int_equal(json_array_size(w->answer), 3);
    b = row(w, 0);
    assert_string_equal(json_string_value(json_object_get(b, "stream")), "humidity");
    b = row(w, 1);
    assert_int_equal(number(b, "count"), 4);
    assert_int_equal(number(b, "min"), 10);
    assert_int_equal(number(b, "max"), 50);
    assert_int_equal(number(b, "first"), 10);
    assert_int_equal(number(b, "last"), 50);
    assert_true(number(b, "mean") > 20.74 && number(b, "mean") < 20.76);
    assert_null(json_object_get(b, "value"));
    assert_int_equal(number(row(w, 2), "count"), 1);
    hub_call(w, "GET", API "/devices/cam-01/readings", "every=1m&limit=1", "");
    assert_int_equal(json_array_size(w->answer), 2); /* those of one time come together */
    hub_call(w, "GET", API "/devices/cam-01/readings", "every=soon", "");
    assert_int_equal(w->status, 400);
    hub_call(w, "GET", API "/devices/cam-01/readings", "every=1m&order=desc", "");
    assert_int_equal(w->status, 400);
}

struct given {
    struct fl_bucket at[64];
    size_t count;
};

static void give(void *to, const struct fl_bucket *b)
{
    struct given *g = to;

    g->at[g->count++ % 64] = *b;
}

static void buckets_begin_at_whole_multiples_also_before_the_epoch(void **state)
{
    struct fl_bucket_set set;
    struct given g = {0};
    (void)state;

    fl_bucket_init(&set, 1000, give, &g);
    assert_ok(fl_bucket_add(&set, fl_slice_str("a"), -1001, 1));
    assert_ok(fl_bucket_add(&set, fl_slice_str("a"), -1000, 2));
    assert_ok(fl_bucket_add(&set, fl_slice_str("a"), -1, 3));
    assert_ok(fl_bucket_add(&set, fl_slice_str("a"), 0, 4));
    fl_bucket_end(&set);
    fl_bucket_free(&set);
    assert_int_equal(g.count, 3);
    assert_int_equal(g.at[0].t, -2000);
    assert_int_equal(g.at[1].t, -1000);
    assert_int_equal(g.at[1].count, 2);
    assert_int_equal(g.at[2].t, 0);
}

static void streams_of_one_bucket_are_bounded(void **state)
{
    struct fl_bucket_set set;
    struct given g = {0};
    char name[32];
    (void)state;

    fl_bucket_init(&set, 1000, give, &g);
    for (int i = 0; i < FL_LIMIT_BUCKET_STREAMS; i++) {
        (void)snprintf(name, sizeof name, "s-%d", i);
        assert_ok(fl_bucket_add(&set, fl_slice_str(name), 1, 1));
    }
    assert_int_equal(fl_bucket_add(&set, fl_slice_str("more"), 1, 1), FL_ELIMIT);
    assert_true(set.full);
    fl_bucket_free(&set);
}

static void quiet(enum fl_log_level level, const char *tag, const char *text)
{
    (void)level;
    (void)tag;
    (void)text;
}

static int be_quiet(void **state)
{
    (void)state;
    fl_log_set_writer(quiet);
    return 0;
}

#define hub_unit(test) cmocka_unit_test_setup_teardown(test, hub_world_open, hub_world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        hub_unit(what_is_stored_is_sealed_and_read_back),
        hub_unit(a_batch_waits_for_its_key_and_holds_nobody_up),
        hub_unit(without_the_signer_readings_are_refused_never_acknowledged),
        hub_unit(batches_that_wait_are_bounded),
        cmocka_unit_test(keys_in_memory_are_bounded),
        hub_unit(a_call_waits_for_the_key_that_it_needs),
        hub_unit(erased_readings_are_gone_and_new_ones_have_another_key),
        hub_unit(an_erasure_that_was_begun_is_finished),
        hub_unit(a_signer_that_is_away_erases_nothing),
        hub_unit(a_large_erasure_goes_in_steps),
        hub_unit(a_copy_from_before_an_erasure_shows_nothing),
        hub_unit(what_was_never_sealed_is_erased_too_and_not_sealed_meanwhile),
        hub_unit(a_lost_key_is_an_error_and_the_device_keeps_its_readings),
        hub_unit(readings_are_kept_as_long_as_the_profile_says),
        hub_unit(retention_goes_in_bounded_steps),
        hub_unit(a_full_disk_does_not_stop_the_sweep_for_good),
        hub_unit(readings_of_an_older_version_are_sealed_bit_by_bit),
        hub_unit(what_cannot_be_sealed_now_is_sealed_later),
        hub_unit(buckets_tell_of_each_stream_and_time),
        cmocka_unit_test(buckets_begin_at_whole_multiples_also_before_the_epoch),
        cmocka_unit_test(streams_of_one_bucket_are_bounded),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
