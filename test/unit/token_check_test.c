/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "trust/token_check.h"

#define NOW ((fl_time_t)1795334400000)

static struct fl_token sample_token(void)
{
    struct fl_token token = {.kind = FL_TOKEN_DEVICE, .id = "cam-01", .host = "hub"};

    memset(token.secret, 0xA5, sizeof token.secret);
    return token;
}

static struct fl_token_record sample_record(void)
{
    struct fl_token token = sample_token();
    struct fl_token_record record = {
        .kind = FL_TOKEN_DEVICE, .expires = NOW + 1000, .id = "cam-01"};

    fl_token_check_hash(token.secret, record.sha256);
    return record;
}

static enum fl_error check(const struct fl_token_record *record, const struct fl_token *token,
                           struct fl_context *ctx)
{
    return fl_token_check(record, token, FL_TOKEN_DEVICE, fl_slice_str("cam-01"), NOW, ctx);
}

static void a_fresh_token_is_honoured(void **state)
{
    struct fl_token token = sample_token();
    struct fl_token_record record = sample_record();
    (void)state;

    assert_ok(check(&record, &token, NULL));
}

static void a_used_token_is_refused(void **state)
{
    struct fl_token token = sample_token();
    struct fl_token_record record = sample_record();
    struct fl_context ctx = {0};
    (void)state;

    record.used = true;
    assert_int_equal(check(&record, &token, &ctx), FL_ESTATE);
    assert_contains(ctx.text, "used already");
    /* Used and expired: used is the more useful answer. */
    record.expires = 0;
    assert_int_equal(check(&record, &token, &ctx), FL_ESTATE);
}

static void a_token_ends_at_its_expiry_to_the_millisecond(void **state)
{
    struct fl_token token = sample_token();
    struct fl_token_record record = sample_record();
    struct fl_context ctx = {0};
    (void)state;

    record.expires = NOW + 1;
    assert_ok(check(&record, &token, &ctx));
    record.expires = NOW;
    assert_int_equal(check(&record, &token, &ctx), FL_EEXPIRED);
    assert_contains(ctx.text, "2026-11-22T08:00:00Z");
}

static void what_the_token_says_of_its_expiry_counts_for_nothing(void **state)
{
    struct fl_token token = sample_token();
    struct fl_token_record record = sample_record();
    (void)state;

    record.expires = NOW - 1;
    token.expires = FL_TIME_NEVER;
    assert_int_equal(check(&record, &token, NULL), FL_EEXPIRED);
}

static void any_wrong_bit_of_the_secret_is_refused_and_tells_nothing(void **state)
{
    struct fl_token_record record = sample_record();
    struct fl_context first = {0};
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(fl_token_check(NULL,
                                    &(struct fl_token){.kind = FL_TOKEN_DEVICE, .id = "cam-01"},
                                    FL_TOKEN_DEVICE, fl_slice_str("cam-01"), NOW, &first),
                     FL_EAUTH);
    record.used = true;
    for (size_t bit = 0; bit < 8 * FL_TOKEN_SECRET_SIZE; bit++) {
        struct fl_token token = sample_token();

        token.secret[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(check(&record, &token, &ctx), FL_EAUTH);
        assert_string_equal(ctx.text, first.text);
    }
}

static void a_token_for_another_device_is_refused(void **state)
{
    struct fl_token token = sample_token();
    struct fl_token_record record = sample_record();
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(
        fl_token_check(&record, &token, FL_TOKEN_DEVICE, fl_slice_str("cam-02"), NOW, &ctx),
        FL_EDENIED);
    assert_contains(ctx.text, "'cam-01'");
    /* Renamed by its holder, but the record is that of another. */
    (void)fl_str_copy(token.id, sizeof token.id, "cam-02");
    assert_int_equal(
        fl_token_check(&record, &token, FL_TOKEN_DEVICE, fl_slice_str("cam-02"), NOW, &ctx),
        FL_EAUTH);
}

static void a_token_serves_its_purpose_only(void **state)
{
    struct fl_token token = sample_token();
    struct fl_token_record record = sample_record();
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(
        fl_token_check(&record, &token, FL_TOKEN_PRINCIPAL, fl_slice_str("cam-01"), NOW, &ctx),
        FL_EDENIED);
    assert_contains(ctx.text, "for a device");
    token.kind = FL_TOKEN_PRINCIPAL;
    assert_int_equal(check(&record, &token, &ctx), FL_EDENIED);
    assert_contains(ctx.text, "for an administrator");
    assert_int_equal(
        fl_token_check(&record, &token, FL_TOKEN_PRINCIPAL, fl_slice_str("cam-01"), NOW, &ctx),
        FL_EAUTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_token_is_honoured),
        cmocka_unit_test(a_used_token_is_refused),
        cmocka_unit_test(a_token_ends_at_its_expiry_to_the_millisecond),
        cmocka_unit_test(what_the_token_says_of_its_expiry_counts_for_nothing),
        cmocka_unit_test(any_wrong_bit_of_the_secret_is_refused_and_tells_nothing),
        cmocka_unit_test(a_token_for_another_device_is_refused),
        cmocka_unit_test(a_token_serves_its_purpose_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
