/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "front/roster.h"

#include <stdio.h>

#define NOW ((fl_time_t)1795334400000)

static const char *const profile_text = "profile %s {\n"
                                        "    title \"T\"\n    vendor \"V\"\n    model M\n"
                                        "    version 1\n"
                                        "    publish d/{device}/t/#\n"
                                        "    subscribe d/{device}/c/#\n"
                                        "    stream temperature {\n        range -40 85\n    }\n"
                                        "    support-until 2031-12-31\n"
                                        "%s}\n";

static enum fl_error add_text(struct fl_roster *r, const char *name, const char *in_text,
                              const char *more)
{
    char text[1024];
    struct fl_msg_profile msg = {.name = fl_slice_str(name)};
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    (void)snprintf(text, sizeof text, profile_text, in_text, more);
    msg.text = fl_slice_str(text);
    error = fl_roster_profile(r, &msg, &ctx);
    if (error)
        assert_contains(ctx.text, "roster: ");
    return error;
}

static enum fl_error add_profile(struct fl_roster *r, const char *name, const char *in_text)
{
    return add_text(r, name, in_text, "");
}

static enum fl_error add_profile_with(struct fl_roster *r, const char *name, const char *more)
{
    return add_text(r, name, name, more);
}

static void ignore_gone(void *self, struct fl_slice device)
{
    (void)self;
    (void)device;
}

static enum fl_roster_change add_device(struct fl_roster *r, const char *id, bool may_connect,
                                        const char *credentials)
{
    struct fl_msg_device msg = {.id = fl_slice_str(id),
                                .profile = fl_slice_str("camera"),
                                .may_connect = may_connect,
                                .reason = fl_slice_str(may_connect ? "" : "revoked: stolen"),
                                .credentials = fl_slice_str(credentials)};
    enum fl_roster_change change = FL_ROSTER_SAME;

    assert_ok(fl_roster_device(r, &msg, &change, NULL));
    return change;
}

static int verdict(const struct fl_roster *r, const char *name, const char *serial,
                   struct fl_context *ctx)
{
    struct fl_cert_info info = {.kind = FL_CERT_DEVICE, .not_before = NOW, .not_after = NOW + 100};

    (void)fl_str_copy(info.name, sizeof info.name, name);
    (void)fl_str_copy(info.serial, sizeof info.serial, serial);
    return fl_roster_judge(r, &info, NOW, ctx);
}

static void only_a_known_device_with_a_listed_credential_comes_in(void **state)
{
    struct fl_roster r = {0};
    struct fl_context ctx = {0};

    (void)state;
    (void)add_device(&r, "cam-01", true, "aa01 bb02");
    (void)add_device(&r, "cam-02", false, "cc03");
    (void)add_device(&r, "cam-03", true, "");
    assert_int_equal(verdict(&r, "cam-01", "aa01", &ctx), X509_V_OK);
    assert_int_equal(verdict(&r, "cam-01", "bb02", &ctx), X509_V_OK);
    assert_int_equal(verdict(&r, "cam-01", "aa0", &ctx), X509_V_ERR_CERT_REVOKED);
    assert_int_equal(verdict(&r, "cam-01", "aa01 bb02", &ctx), X509_V_ERR_CERT_REVOKED);
    assert_contains(ctx.text, "not valid any more");
    assert_int_equal(verdict(&r, "cam-01", "", &ctx), X509_V_ERR_CERT_REVOKED);
    assert_int_equal(verdict(&r, "cam-02", "cc03", &ctx), X509_V_ERR_CERT_REVOKED);
    assert_string_equal(ctx.text, "revoked: stolen");
    assert_int_equal(verdict(&r, "cam-03", "", &ctx), X509_V_ERR_CERT_REVOKED);
    assert_int_not_equal(verdict(&r, "cam-04", "aa01", &ctx), X509_V_OK);
    assert_string_equal(ctx.text, "unknown device");
    fl_roster_free(&r);
}

static void a_certificate_is_good_only_in_its_time(void **state)
{
    struct fl_roster r = {0};
    struct fl_cert_info info = {
        .name = "cam-01", .serial = "aa", .not_before = NOW, .not_after = NOW + 100};

    (void)state;
    (void)add_device(&r, "cam-01", true, "aa");
    assert_int_equal(fl_roster_judge(&r, &info, NOW - 1, NULL), X509_V_ERR_CERT_NOT_YET_VALID);
    assert_int_equal(fl_roster_judge(&r, &info, NOW, NULL), X509_V_OK);
    assert_int_equal(fl_roster_judge(&r, &info, NOW + 99, NULL), X509_V_OK);
    assert_int_equal(fl_roster_judge(&r, &info, NOW + 100, NULL), X509_V_ERR_CERT_HAS_EXPIRED);
    fl_roster_free(&r);
}

static void a_change_that_matters_is_told_from_one_that_does_not(void **state)
{
    struct fl_roster r = {0};

    (void)state;
    assert_int_equal(add_device(&r, "cam-01", true, "aa"), FL_ROSTER_CHANGED);
    assert_int_equal(add_device(&r, "cam-01", true, "aa"), FL_ROSTER_SAME);
    assert_int_equal(add_device(&r, "cam-01", true, "aa bb"), FL_ROSTER_CHANGED);
    assert_int_equal(add_device(&r, "cam-01", false, "aa bb"), FL_ROSTER_CHANGED);
    assert_false(fl_roster_admits(&r, fl_slice_str("cam-01"), fl_slice_str("aa")));
    assert_int_equal(add_device(&r, "cam-01", true, "aa bb"), FL_ROSTER_CHANGED);
    assert_true(fl_roster_admits(&r, fl_slice_str("cam-01"), fl_slice_str("aa")));
    assert_int_equal(r.devices.count, 1);
    fl_roster_gone(&r, fl_slice_str("cam-01"));
    fl_roster_gone(&r, fl_slice_str("cam-01"));
    assert_false(fl_roster_admits(&r, fl_slice_str("cam-01"), fl_slice_str("aa")));
    fl_roster_free(&r);
}

static void rights_come_from_the_profile_as_it_is_now(void **state)
{
    struct fl_roster r = {0};
    struct fl_slice id = fl_slice_str("cam-01");

    (void)state;
    (void)add_device(&r, "cam-01", true, "aa");
    assert_null(fl_roster_profile_of(&r, id));
    assert_ok(add_profile(&r, "camera", "camera"));
    assert_non_null(fl_roster_profile_of(&r, id));
    assert_ok(add_profile(&r, "camera", "camera"));
    assert_int_equal(r.profiles.count, 1);
    assert_true(fl_profile_allows(fl_roster_profile_of(&r, id), FL_RIGHT_PUBLISH, id,
                                  fl_slice_str("d/cam-01/t/temperature"), 0));
    (void)add_device(&r, "cam-01", false, "aa");
    assert_null(fl_roster_profile_of(&r, id));
    fl_roster_free(&r);
}

static void evidence_that_comes_and_goes_moves_the_epoch_and_cuts_nobody(void **state)
{
    struct fl_roster r = {0};
    struct fl_msg_device msg = {.id = fl_slice_str("cam-01"),
                                .profile = fl_slice_str("camera"),
                                .may_connect = 1,
                                .credentials = fl_slice_str("aa"),
                                .grades = 2};
    enum fl_roster_change change = FL_ROSTER_CHANGED;
    uint64_t epoch = 0;

    (void)state;
    assert_ok(fl_roster_device(&r, &msg, &change, NULL));
    assert_int_equal(fl_roster_grades_of(&r, msg.id), 2);
    assert_int_equal(fl_roster_grades_of(&r, fl_slice_str("other")), 0);
    epoch = r.epoch;
    msg.grades = 0;
    assert_ok(fl_roster_device(&r, &msg, &change, NULL));
    assert_int_equal(change, FL_ROSTER_SAME);
    assert_true(r.epoch > epoch);
    assert_int_equal(fl_roster_grades_of(&r, msg.id), 0);
    fl_roster_free(&r);
}

static void a_profile_that_is_none_is_refused_and_the_old_one_kept(void **state)
{
    struct fl_roster r = {0};

    (void)state;
    assert_ok(add_profile(&r, "camera", "camera"));
    assert_int_equal(add_profile(&r, "camera", "door"), FL_EPARSE);
    assert_int_equal(add_profile(&r, "camera", "camera {"), FL_EPARSE);
    (void)add_device(&r, "cam-01", true, "aa");
    assert_non_null(fl_roster_profile_of(&r, fl_slice_str("cam-01")));
    fl_roster_free(&r);
}

static void a_device_needs_a_valid_name(void **state)
{
    struct fl_roster r = {0};
    enum fl_roster_change change = FL_ROSTER_SAME;
    struct fl_msg_device msg = {.id = fl_slice_str("a/b")};

    (void)state;
    assert_int_equal(fl_roster_device(&r, &msg, &change, NULL), FL_EINVAL);
    msg.id = fl_slice(NULL, 0);
    assert_int_equal(fl_roster_device(&r, &msg, &change, NULL), FL_EINVAL);
    fl_roster_free(&r);
}

static void count_gone(void *self, struct fl_slice device)
{
    unsigned *count = self;

    assert_true(fl_slice_is(device, "cam-02") || fl_slice_is(device, "cam-03"));
    *count += 1;
}

static void what_a_snapshot_does_not_name_is_forgotten_when_it_ends(void **state)
{
    struct fl_roster r = {0};
    unsigned gone = 0;

    (void)state;
    fl_roster_snapshot_begin(&r);
    assert_ok(add_profile(&r, "camera", "camera"));
    assert_ok(add_profile(&r, "door", "door"));
    (void)add_device(&r, "cam-01", true, "aa");
    (void)add_device(&r, "cam-02", true, "aa");
    (void)add_device(&r, "cam-03", true, "aa");
    fl_roster_snapshot_end(&r, count_gone, &gone);
    assert_int_equal(gone, 0);
    fl_roster_snapshot_begin(&r);
    assert_ok(add_profile(&r, "camera", "camera"));
    (void)add_device(&r, "cam-01", true, "aa");
    assert_true(fl_roster_admits(&r, fl_slice_str("cam-02"), fl_slice_str("aa")));
    fl_roster_snapshot_end(&r, count_gone, &gone);
    assert_int_equal(gone, 2);
    assert_int_equal(r.devices.count, 1);
    assert_int_equal(r.profiles.count, 1);
    assert_true(fl_roster_admits(&r, fl_slice_str("cam-01"), fl_slice_str("aa")));
    fl_roster_free(&r);
}

static void tls_1_2_is_asked_for_by_profiles_and_holds_for_their_devices(void **state)
{
    struct fl_roster r = {0};

    (void)state;
    assert_ok(add_profile(&r, "camera", "camera"));
    (void)add_device(&r, "cam-01", false, "");
    assert_int_equal(r.tls12, 0);
    assert_false(fl_roster_allows_tls12(&r, fl_slice_str("cam-01")));
    for (int i = 0; i < 2; i++) {
        assert_ok(add_profile_with(&r, "old", "    tls 1.2\n"));
        assert_int_equal(r.tls12, 1);
    }
    assert_false(fl_roster_allows_tls12(&r, fl_slice_str("cam-01")));
    assert_ok(add_profile_with(&r, "camera", "    tls 1.2\n"));
    assert_int_equal(r.tls12, 2);
    assert_true(fl_roster_allows_tls12(&r, fl_slice_str("cam-01")));
    assert_false(fl_roster_allows_tls12(&r, fl_slice_str("cam-02")));
    assert_ok(add_profile(&r, "camera", "camera"));
    assert_int_equal(r.tls12, 1);
    assert_false(fl_roster_allows_tls12(&r, fl_slice_str("cam-01")));
    /* A profile that the next snapshot does not name asks for nothing. */
    fl_roster_snapshot_begin(&r);
    fl_roster_snapshot_end(&r, ignore_gone, NULL);
    assert_int_equal(r.tls12, 0);
    fl_roster_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_1_2_is_asked_for_by_profiles_and_holds_for_their_devices),
        cmocka_unit_test(only_a_known_device_with_a_listed_credential_comes_in),
        cmocka_unit_test(a_certificate_is_good_only_in_its_time),
        cmocka_unit_test(a_change_that_matters_is_told_from_one_that_does_not),
        cmocka_unit_test(rights_come_from_the_profile_as_it_is_now),
        cmocka_unit_test(evidence_that_comes_and_goes_moves_the_epoch_and_cuts_nobody),
        cmocka_unit_test(a_profile_that_is_none_is_refused_and_the_old_one_kept),
        cmocka_unit_test(a_device_needs_a_valid_name),
        cmocka_unit_test(what_a_snapshot_does_not_name_is_forgotten_when_it_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
