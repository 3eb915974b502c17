/* SPDX-License-Identifier: Apache-2.0
 *
 * The devices' data keys on a disk that loses, tears and garbles what was not synced.
 */
#include "test/unit/unit.h"

#include "base/log.h"
#include "signer/keystore.h"
#include "test/twin/clock_twin.h"
#include "test/twin/files_twin.h"

#include <stdio.h>

static const uint8_t master[FL_DATAKEY_SIZE] = {9, 8, 7};

struct rig {
    struct fl_files_twin *disk;
    struct fl_files files;
    struct fl_random_twin dice;
    struct fl_keystore *ks;
};

static void quiet(enum fl_log_level level, const char *tag, const char *text)
{
    (void)level;
    (void)tag;
    (void)text;
}

static void rig_open(struct rig *r)
{
    struct fl_context ctx = {0};

    fl_keystore_free(r->ks);
    if (fl_keystore_open(&r->files, &r->dice.random, master, &r->ks, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
}

static void rig_make(struct rig *r, uint64_t seed)
{
    *r = (struct rig){.disk = fl_files_twin_new(seed)};
    r->files = fl_files_twin_files(r->disk);
    fl_random_twin_init(&r->dice, seed);
    /* As `fairlead init` leaves it. */
    assert_ok(r->files.write(r->files.self, FL_KEYSTORE_FILE, 0, fl_slice_str(""), NULL));
    assert_ok(r->files.sync(r->files.self, FL_KEYSTORE_FILE, NULL));
}

static void rig_free(struct rig *r)
{
    fl_keystore_free(r->ks);
    fl_files_twin_free(r->disk);
}

static enum fl_error get(struct rig *r, const char *device, uint32_t generation, bool create,
                         uint8_t key[FL_DATAKEY_SIZE])
{
    uint32_t erased = 0;

    return fl_keystore_get(r->ks, fl_slice_str(device), generation, create, key, &erased, NULL);
}

static void a_key_is_made_once_and_given_out_again(void **state)
{
    struct rig r;
    uint8_t key[FL_DATAKEY_SIZE];
    uint8_t again[FL_DATAKEY_SIZE];
    uint8_t other[FL_DATAKEY_SIZE];
    (void)state;

    rig_make(&r, 1);
    rig_open(&r);
    assert_int_equal(get(&r, "cam-01", 1, false, key), FL_ENOTFOUND);
    assert_ok(get(&r, "cam-01", 1, true, key));
    assert_ok(get(&r, "cam-01", 1, true, again));
    assert_memory_equal(key, again, sizeof key);
    assert_ok(get(&r, "cam-02", 1, true, other));
    assert_memory_not_equal(key, other, sizeof key);
    rig_open(&r);
    assert_int_equal(fl_keystore_count(r.ks), 2);
    assert_ok(get(&r, "cam-01", 1, false, again));
    assert_memory_equal(key, again, sizeof key);
    assert_int_equal(get(&r, "a b", 1, true, again), FL_EINVAL);
    assert_int_equal(get(&r, "cam-01", 0, true, again), FL_EINVAL);
    rig_free(&r);
}

static void a_destroyed_key_is_gone_and_the_next_generation_is_another(void **state)
{
    struct rig r;
    uint8_t key[FL_DATAKEY_SIZE];
    uint8_t next[FL_DATAKEY_SIZE];
    uint32_t erased = 9;
    (void)state;

    rig_make(&r, 2);
    rig_open(&r);
    assert_ok(fl_keystore_destroy(r.ks, fl_slice_str("cam-01"), &erased, NULL));
    assert_int_equal(erased, 0);
    assert_ok(get(&r, "cam-01", 1, true, key));
    for (int i = 0; i < 2; i++) {
        assert_ok(fl_keystore_destroy(r.ks, fl_slice_str("cam-01"), &erased, NULL));
        assert_int_equal(erased, 1);
        assert_int_equal(get(&r, "cam-01", 1, true, next), FL_EEXPIRED);
        rig_open(&r);
    }
    assert_int_equal(get(&r, "cam-01", 2, false, next), FL_ENOTFOUND);
    assert_ok(get(&r, "cam-01", 2, true, next));
    assert_memory_not_equal(key, next, sizeof key);
    rig_open(&r);
    assert_int_equal(fl_keystore_get(r.ks, fl_slice_str("cam-01"), 1, true, key, &erased, NULL),
                     FL_EEXPIRED);
    assert_int_equal(erased, 1);
    assert_ok(get(&r, "cam-01", 2, false, key));
    assert_memory_equal(key, next, sizeof key);
    rig_free(&r);
}

/* A copy of the file from before an erasure came back; the hub knows better. */
static void a_key_that_came_back_is_destroyed_when_the_next_is_asked_for(void **state)
{
    struct rig r;
    uint8_t key[FL_DATAKEY_SIZE];
    (void)state;

    rig_make(&r, 3);
    rig_open(&r);
    assert_ok(get(&r, "cam-01", 1, true, key));
    assert_ok(get(&r, "cam-01", 2, true, key));
    assert_int_equal(get(&r, "cam-01", 1, true, key), FL_EEXPIRED);
    rig_open(&r);
    assert_int_equal(get(&r, "cam-01", 1, true, key), FL_EEXPIRED);
    assert_ok(get(&r, "cam-01", 2, false, key));
    rig_free(&r);
}

static void another_data_key_and_another_file_are_refused(void **state)
{
    static const uint8_t other[FL_DATAKEY_SIZE] = {1};
    struct rig r;
    struct fl_keystore *ks = NULL;
    struct fl_context ctx = {0};
    uint8_t key[FL_DATAKEY_SIZE];
    (void)state;

    rig_make(&r, 4);
    rig_open(&r);
    assert_ok(get(&r, "cam-01", 1, true, key));
    assert_int_equal(fl_keystore_open(&r.files, &r.dice.random, other, &ks, &ctx), FL_EAUTH);
    assert_contains(ctx.text, "keys/device-keys: its keys are wrapped under another data key");
    fl_files_twin_rot(r.disk, FL_KEYSTORE_FILE, 0);
    assert_int_equal(fl_keystore_open(&r.files, &r.dice.random, master, &ks, &ctx), FL_EPARSE);
    rig_free(&r);
}

static void a_rotten_key_is_told_and_can_be_erased(void **state)
{
    struct rig r;
    uint8_t key[FL_DATAKEY_SIZE];
    uint32_t erased = 0;
    (void)state;

    rig_make(&r, 5);
    rig_open(&r);
    assert_ok(get(&r, "cam-01", 1, true, key));
    fl_files_twin_rot(r.disk, FL_KEYSTORE_FILE, 160 + 96 + 20);
    rig_open(&r);
    assert_int_equal(get(&r, "cam-01", 1, true, key), FL_EIO);
    assert_ok(fl_keystore_destroy(r.ks, fl_slice_str("cam-01"), &erased, NULL));
    assert_int_equal(erased, 1);
    assert_ok(get(&r, "cam-01", 2, true, key));
    rig_free(&r);
}

/* --- crashes at every change --- */

enum { DEVICES = 3 };

/* What was reported: nothing else may be relied on. */
struct model {
    struct {
        uint32_t made; /* the last generation that was given out */
        uint8_t key[FL_DATAKEY_SIZE];
        uint32_t erased; /* the last whose destruction was reported */
        uint32_t asked;  /* the last whose destruction was asked for */
    } devices[DEVICES];
};

static const char *const names[DEVICES] = {"a", "b-device", "c"};

static bool step(struct rig *r, struct model *m, size_t at)
{
    size_t d = (at * 7 + at / 3) % DEVICES;
    uint32_t erased = 0;
    uint32_t wanted = m->devices[d].asked + 1;
    uint8_t key[FL_DATAKEY_SIZE];

    if (at % 4 == 3 && m->devices[d].made > m->devices[d].asked) {
        m->devices[d].asked = m->devices[d].made;
        if (fl_keystore_destroy(r->ks, fl_slice_str(names[d]), &erased, NULL) != FL_OK)
            return false;
        assert_int_equal(erased, m->devices[d].asked);
        m->devices[d].erased = erased;
        return true;
    }
    if (get(r, names[d], wanted, true, key) != FL_OK)
        return false;
    if (m->devices[d].made == wanted)
        assert_memory_equal(key, m->devices[d].key, sizeof key);
    m->devices[d].made = wanted;
    m->devices[d].erased = wanted - 1;
    memcpy(m->devices[d].key, key, sizeof key);
    return true;
}

static void check(struct rig *r, const struct model *m)
{
    for (size_t d = 0; d < DEVICES; d++) {
        uint8_t key[FL_DATAKEY_SIZE];
        enum fl_error error = FL_OK;

        if (m->devices[d].erased > 0)
            assert_int_equal(get(r, names[d], m->devices[d].erased, true, key), FL_EEXPIRED);
        if (m->devices[d].made <= m->devices[d].erased)
            continue;
        error = get(r, names[d], m->devices[d].made, false, key);
        if (m->devices[d].asked >= m->devices[d].made && error != FL_OK)
            continue; /* its destruction was under way */
        assert_ok(error);
        assert_memory_equal(key, m->devices[d].key, sizeof key);
    }
}

static void run_with_crash(uint64_t seed, uint64_t crash_at, enum fl_files_twin_crash kind)
{
    struct rig r;
    struct model m = {0};
    struct fl_context ctx = {0};
    size_t done = 0;

    rig_make(&r, seed);
    fl_files_twin_crash_at(r.disk, crash_at);
    if (fl_keystore_open(&r.files, &r.dice.random, master, &r.ks, &ctx) == FL_OK)
        while (done < 24 && step(&r, &m, done))
            done++;
    fl_files_twin_restart(r.disk, kind);
    r.files = fl_files_twin_files(r.disk);
    rig_open(&r);
    check(&r, &m);
    /* And life goes on: what was under way is done again, as the hub does. */
    for (size_t d = 0; d < DEVICES; d++) {
        uint32_t erased = 0;

        if (m.devices[d].asked > m.devices[d].erased) {
            assert_ok(fl_keystore_destroy(r.ks, fl_slice_str(names[d]), &erased, NULL));
            m.devices[d].erased = m.devices[d].asked;
        }
    }
    for (size_t at = done; at < done + 12; at++)
        assert_true(step(&r, &m, at));
    rig_open(&r);
    check(&r, &m);
    rig_free(&r);
}

static void what_was_reported_survives_a_crash_at_every_change(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++)
        for (uint64_t crash_at = 1; crash_at <= 100; crash_at++)
            run_with_crash(seed, crash_at, crash_at % 5 == 0 ? FL_TWIN_KILL : FL_TWIN_POWER);
}

static void a_disk_that_fails_a_sync_costs_one_answer(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct rig r;
        struct model m = {0};
        size_t at = 0;

        rig_make(&r, seed);
        rig_open(&r);
        for (at = 0; at < 30; at++) {
            if (at % 5 == seed % 5)
                fl_files_twin_fail_syncs(r.disk, 1 + at % 2);
            for (int tries = 0; !step(&r, &m, at); tries++)
                assert_true(tries < 5);
        }
        fl_files_twin_fail_syncs(r.disk, 0);
        fl_files_twin_restart(r.disk, FL_TWIN_POWER);
        r.files = fl_files_twin_files(r.disk);
        rig_open(&r);
        check(&r, &m);
        rig_free(&r);
    }
}

static void a_full_disk_makes_no_key(void **state)
{
    struct rig r;
    uint8_t key[FL_DATAKEY_SIZE];
    (void)state;

    rig_make(&r, 6);
    rig_open(&r);
    fl_files_twin_space(r.disk, 200);
    assert_int_equal(get(&r, "cam-01", 1, true, key), FL_EFULL);
    fl_files_twin_space(r.disk, UINT64_MAX);
    assert_ok(get(&r, "cam-01", 1, true, key));
    rig_free(&r);
}

static int set_up(void **state)
{
    (void)state;
    fl_log_set_writer(quiet);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fl_log_set_writer(NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_made_once_and_given_out_again),
        cmocka_unit_test(a_destroyed_key_is_gone_and_the_next_generation_is_another),
        cmocka_unit_test(a_key_that_came_back_is_destroyed_when_the_next_is_asked_for),
        cmocka_unit_test(another_data_key_and_another_file_are_refused),
        cmocka_unit_test(a_rotten_key_is_told_and_can_be_erased),
        cmocka_unit_test(what_was_reported_survives_a_crash_at_every_change),
        cmocka_unit_test(a_disk_that_fails_a_sync_costs_one_answer),
        cmocka_unit_test(a_full_disk_makes_no_key),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
