/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/service_world.h"

#include "service/status.h"

static void act(struct service_world *w, enum fl_action_kind kind, const char *id)
{
    struct fl_change change = by_alice(w, "because");
    struct fl_outcome o = {0};

    assert_ok(fl_store_begin(&w->store, NULL));
    assert_ok(fl_action_apply(&w->store, kind, fl_slice_str(id), 0, false, &change, &o, NULL));
    commit(w);
}

static void undo(struct service_world *w, uint64_t id)
{
    struct fl_change change = by_alice(w, "");
    struct fl_outcome o = {0};

    assert_ok(fl_store_begin(&w->store, NULL));
    assert_ok(fl_action_undo(&w->store, id, false, &change, &o, NULL));
    commit(w);
}

/* "aa:6 bb:5": serials and reasons. */
static const char *entries(struct service_world *w)
{
    static char text[512];
    struct fl_buffer buffer = FL_BUFFER(4096);
    struct fl_crl_entry entry;
    struct fl_slice rest = {0};
    size_t used = 0;

    assert_ok(fl_status_entries(&w->store, &buffer, NULL));
    rest = fl_buffer_slice(&buffer);
    text[0] = 0;
    while (fl_crl_next_entry(&rest, &entry) == FL_OK) {
        char serial[FL_LIMIT_SERIAL_HEX];

        fl_hex(serial, sizeof serial, fl_slice(entry.serial, entry.serial_size));
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s:%d", used ? " " : "",
                                 serial, (int)entry.reason);
    }
    assert_int_equal(rest.size, 0);
    fl_buffer_free(&buffer);
    return text;
}

static uint64_t next_number(struct service_world *w)
{
    uint64_t number = 0;

    assert_ok(fl_store_begin(&w->store, NULL));
    assert_ok(fl_status_next_number(&w->store, w->now, &number, NULL));
    commit(w);
    return number;
}

static size_t forget(struct service_world *w)
{
    size_t count = 0;

    assert_ok(fl_store_begin(&w->store, NULL));
    assert_ok(fl_status_forget(&w->store, w->now, &count, NULL));
    commit(w);
    return count;
}

static void what_is_not_good_is_in_it_with_its_reason(void **state)
{
    struct service_world *w = *state;

    add_active(w, "cam", "aa");
    add_active(w, "meter", "bb");
    add_active(w, "lock", "cc");
    add_active(w, "fan", "dd");
    assert_string_equal(entries(w), "");
    act(w, FL_ACTION_HOLD, "cam");
    act(w, FL_ACTION_QUARANTINE, "meter");
    act(w, FL_ACTION_RETIRE, "lock");
    act(w, FL_ACTION_REVOKE, "fan");
    assert_string_equal(entries(w), "aa:6 bb:6 cc:5 dd:0");
    act(w, FL_ACTION_REVOKE, "cam");
    assert_string_equal(entries(w), "aa:0 bb:6 cc:5 dd:0");
    undo(w, 5);
    assert_string_equal(entries(w), "aa:6 bb:6 cc:5 dd:0");
    for (uint64_t id = 1; id <= 4; id++)
        undo(w, id);
    assert_string_equal(entries(w), "");
}

static void one_that_was_replaced_is_superseded(void **state)
{
    struct service_world *w = *state;
    const char *serials[] = {"a1", "a2", "a3", "a4", "a5"};
    struct fl_device device;

    add_active(w, "cam", "a0");
    device = device_of(w, "cam");
    assert_ok(fl_store_begin(&w->store, NULL));
    for (size_t i = 0; i < 5; i++) {
        struct fl_credential c = credential_for(w, "cam", serials[i]);

        assert_ok(fl_registry_attach(&w->store, &device, &c, "", NULL));
    }
    commit(w);
    assert_string_equal(entries(w), "a0:4 a1:4");
}

/* RFC 5280 3.3 */
static void an_expired_one_stays_until_it_is_forgotten(void **state)
{
    struct service_world *w = *state;
    struct fl_device device;

    add_active(w, "cam", "aa");
    add_active(w, "meter", "bb");
    act(w, FL_ACTION_HOLD, "cam");
    act(w, FL_ACTION_REVOKE, "meter");
    assert_int_equal(forget(w), 0);
    w->now += 7 * DAY;
    assert_int_equal(forget(w), 0); /* it ends now, not before now */
    w->now++;
    assert_ok(fl_store_begin(&w->store, NULL));
    assert_ok(fl_registry_expire(&w->store, w->now, &device, NULL));
    commit(w);
    assert_string_equal(entries(w), "aa:6 bb:0");
    assert_int_equal(forget(w), 2);
    assert_string_equal(entries(w), "");
}

static void numbers_only_grow(void **state)
{
    struct service_world *w = *state;

    assert_int_equal(next_number(w), 1);
    assert_int_equal(next_number(w), 2);
    assert_int_equal(next_number(w), 3);
}

static void what_an_older_version_revoked_is_found_once(void **state)
{
    struct service_world *w = *state;
    static const char *const records[] = {
        "{\"serial\":\"aa\",\"device\":\"cam\",\"state\":\"revoked\",\"not_before\":0,"
        "\"not_after\":9000000000000,\"key\":\"\",\"reason\":\"lost\"}",
        "{\"serial\":\"bb\",\"device\":\"cam\",\"state\":\"issued\",\"not_before\":0,"
        "\"not_after\":9000000000000,\"key\":\"\",\"reason\":\"\"}",
        "{\"serial\":\"cc\",\"device\":\"cam\",\"state\":\"held\",\"not_before\":0,"
        "\"not_after\":9000000000000,\"key\":\"\",\"reason\":\"\"}",
        "{\"serial\":\"dd\",\"device\":\"cam\",\"state\":\"revoked\",\"not_before\":0,"
        "\"not_after\":1000,\"key\":\"\",\"reason\":\"lost\"}"};
    static const char *const serials[] = {"aa", "bb", "cc", "dd"};

    for (size_t i = 0; i < 4; i++)
        assert_ok(w->store.ops->put(w->store.self, FL_TABLE_CREDENTIAL, fl_slice_str(serials[i]),
                                    fl_slice_str(records[i]), NULL));
    assert_string_equal(entries(w), "");
    assert_int_equal(next_number(w), 1);
    assert_string_equal(entries(w), "aa:0 cc:6");
    assert_int_equal(next_number(w), 2);
    assert_string_equal(entries(w), "aa:0 cc:6");
}

static void a_damaged_record_does_not_hide_the_others(void **state)
{
    struct service_world *w = *state;

    add_active(w, "cam", "aa");
    act(w, FL_ACTION_HOLD, "cam");
    assert_ok(w->store.ops->put(w->store.self, FL_TABLE_META, fl_slice_str("crl/a"),
                                fl_slice_str("{}"), NULL));
    assert_ok(w->store.ops->put(w->store.self, FL_TABLE_META, fl_slice_str("crl/00"),
                                fl_slice_str("{}"), NULL));
    assert_ok(w->store.ops->put(w->store.self, FL_TABLE_META, fl_slice_str("crl/bb"),
                                fl_slice_str("[]"), NULL));
    assert_string_equal(entries(w), "aa:6");
}

static void more_than_fit_is_said(void **state)
{
    struct service_world *w = *state;
    struct fl_buffer small = FL_BUFFER(4);

    add_active(w, "cam", "aa");
    act(w, FL_ACTION_HOLD, "cam");
    assert_int_equal(fl_status_entries(&w->store, &small, NULL), FL_ELIMIT);
    fl_buffer_free(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        service_test(what_is_not_good_is_in_it_with_its_reason),
        service_test(one_that_was_replaced_is_superseded),
        service_test(an_expired_one_stays_until_it_is_forgotten),
        service_test(numbers_only_grow),
        service_test(what_an_older_version_revoked_is_found_once),
        service_test(a_damaged_record_does_not_hide_the_others),
        service_test(more_than_fit_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
