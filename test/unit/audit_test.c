/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/service_world.h"

static void add_records(struct service_world *w, int count)
{
    for (int i = 0; i < count; i++) {
        struct fl_audit_entry entry = {
            .who = "alice", .what = "test.note", .object = "o", .at = w->now};

        entry.detail = json_pack("{s:i, s:s}", "n", i, "text", "grüße \"quoted\"");
        assert_ok(fl_store_begin(&w->store, NULL));
        assert_ok(fl_audit_append(&w->store, &entry, NULL));
        commit(w);
    }
}

static void tamper(struct service_world *w, uint64_t seq, const char *member, const char *value)
{
    struct fl_key8 key = fl_key8(seq);
    json_t *record = NULL;

    assert_ok(fl_document_get(&w->store, FL_TABLE_AUDIT, fl_key8_slice(&key), &record, NULL));
    (void)json_object_set_new(record, member, json_string(value));
    assert_ok(fl_document_put(&w->store, FL_TABLE_AUDIT, fl_key8_slice(&key), record, NULL));
    json_decref(record);
}

static void a_chain_of_records_is_good(void **state)
{
    struct service_world *w = *state;
    struct fl_audit_check check = check_audit(w);

    assert_false(check.broken);
    assert_int_equal(check.records, 0);
    add_records(w, 10);
    check = check_audit(w);
    assert_false(check.broken);
    assert_int_equal(check.records, 10);
    assert_int_equal(strlen(check.head), 64);
}

static void a_changed_record_is_found(void **state)
{
    struct service_world *w = *state;

    add_records(w, 10);
    tamper(w, 4, "who", "mallory");
    assert_true(check_audit(w).broken);
    assert_int_equal(check_audit(w).broken_at, 4);
    assert_contains(check_audit(w).detail, "changed");
}

static void an_added_member_is_found(void **state)
{
    struct service_world *w = *state;

    add_records(w, 5);
    tamper(w, 5, "note", "x");
    assert_int_equal(check_audit(w).broken_at, 5);
}

static void a_removed_record_is_found(void **state)
{
    struct service_world *w = *state;
    struct fl_key8 key = fl_key8(3);

    add_records(w, 5);
    assert_ok(fl_document_del(&w->store, FL_TABLE_AUDIT, fl_key8_slice(&key), NULL));
    assert_int_equal(check_audit(w).broken_at, 3);
    assert_contains(check_audit(w).detail, "missing");
}

static void a_shortened_log_is_found(void **state)
{
    struct service_world *w = *state;
    struct fl_key8 key = fl_key8(6);

    add_records(w, 6);
    assert_ok(fl_document_del(&w->store, FL_TABLE_AUDIT, fl_key8_slice(&key), NULL));
    assert_true(check_audit(w).broken);
    assert_contains(check_audit(w).detail, "shorter");
}

static void a_record_that_is_not_utf8_is_refused(void **state)
{
    struct service_world *w = *state;
    struct fl_audit_entry entry = {
        .who = "\xff", .what = "test.note", .object = "o", .detail = json_object()};

    assert_ok(fl_store_begin(&w->store, NULL));
    assert_int_equal(fl_audit_append(&w->store, &entry, NULL), FL_EINVAL);
    w->store.ops->rollback(w->store.self);
    assert_int_equal(check_audit(w).records, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        service_test(a_chain_of_records_is_good),
        service_test(a_changed_record_is_found),
        service_test(an_added_member_is_found),
        service_test(a_removed_record_is_found),
        service_test(a_shortened_log_is_found),
        service_test(a_record_that_is_not_utf8_is_refused),
    };

    return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
