/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/base64.h"
#include "codec/token.h"

static struct fl_token sample(void)
{
    struct fl_token token = {.kind = FL_TOKEN_DEVICE,
                             .expires = 1795334400000,
                             .id = "cam-01",
                             .host = "hub.example.net",
                             .https_port = 8443,
                             .mqtt_port = 8883};

    for (size_t i = 0; i < sizeof token.secret; i++)
        token.secret[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < sizeof token.root_sha256; i++)
        token.root_sha256[i] = (uint8_t)(255 - i);
    return token;
}

static void assert_same(const struct fl_token *a, const struct fl_token *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_memory_equal(a->secret, b->secret, sizeof a->secret);
    assert_memory_equal(a->root_sha256, b->root_sha256, sizeof a->root_sha256);
    assert_int_equal(a->expires, b->expires);
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->host, b->host);
    assert_int_equal(a->https_port, b->https_port);
    assert_int_equal(a->mqtt_port, b->mqtt_port);
}

static void a_token_survives_the_way_through_text(void **state)
{
    struct fl_token token = sample();
    struct fl_token back = {0};
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_TOKEN_TEXT);
    (void)state;

    assert_ok(fl_token_encode(&token, &text));
    assert_memory_equal(fl_buffer_slice(&text).data, "fl1.", 4);
    assert_ok(fl_token_decode(fl_buffer_slice(&text), &back, NULL));
    assert_same(&token, &back);
    fl_buffer_free(&text);
}

static void the_longest_token_fits_its_limit(void **state)
{
    struct fl_token token = sample();
    struct fl_token back = {0};
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_TOKEN_TEXT);
    (void)state;

    memset(token.id, 'a', FL_NAME_MAX);
    memset(token.host, 'b', FL_LIMIT_HOST);
    token.kind = FL_TOKEN_PRINCIPAL;
    assert_ok(fl_token_encode(&token, &text));
    assert_ok(fl_token_decode(fl_buffer_slice(&text), &back, NULL));
    assert_same(&token, &back);
    fl_buffer_free(&text);
}

static void white_space_around_a_token_is_forgiven(void **state)
{
    struct fl_token token = sample();
    struct fl_token back = {0};
    struct fl_buffer text = FL_BUFFER(2 * FL_LIMIT_TOKEN_TEXT);
    (void)state;

    assert_ok(fl_buffer_append_str(&text, " \t\n"));
    assert_ok(fl_token_encode(&token, &text));
    assert_ok(fl_buffer_append_str(&text, "\r\n "));
    assert_ok(fl_token_decode(fl_buffer_slice(&text), &back, NULL));
    assert_same(&token, &back);
    fl_buffer_free(&text);
}

static void every_single_typing_mistake_is_noticed(void **state)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_ .=+/";
    struct fl_token token = sample();
    struct fl_token back = {0};
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_TOKEN_TEXT);
    (void)state;

    assert_ok(fl_token_encode(&token, &text));
    for (size_t at = 4; at < text.size; at++) {
        uint8_t before = text.data[at];

        for (const char *c = alphabet; *c; c++) {
            bool trimmed = *c == ' ' && at == text.size - 1;

            text.data[at] = (uint8_t)*c;
            if ((uint8_t)*c != before && !trimmed)
                assert_int_equal(fl_token_decode(fl_buffer_slice(&text), &back, NULL), FL_EPARSE);
        }
        text.data[at] = before;
    }
    fl_buffer_free(&text);
}

static void every_cut_token_is_noticed_and_leaves_nothing_behind(void **state)
{
    struct fl_token token = sample();
    struct fl_token zero = {0};
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_TOKEN_TEXT);
    (void)state;

    assert_ok(fl_token_encode(&token, &text));
    for (size_t size = 0; size < text.size; size++) {
        struct fl_context ctx = {0};
        struct fl_token back = sample();

        assert_int_equal(fl_token_decode(fl_slice(text.data, size), &back, &ctx), FL_EPARSE);
        assert_true(ctx.text[0] != 0);
        assert_memory_equal(back.secret, zero.secret, sizeof zero.secret);
    }
    fl_buffer_free(&text);
}

static void words_tell_what_is_wrong(void **state)
{
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {"", "empty"},
        {"   ", "empty"},
        {"hello", "not a token"},
        {"fl", "not a token"},
        {"fl1", "not a token"},
        {"flag.", "not a token"},
        {"fl2.AAAA", "later version"},
        {"fl1.", "cut short"},
        {"fl1.AAAA", "cut short"},
        {"fl1.A", "mistyped"},
        {"fl1.AA==", "mistyped"},
    };
    char longest[FL_LIMIT_TOKEN_TEXT + 2];
    struct fl_context ctx = {0};
    struct fl_token token = {0};
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(fl_token_decode(fl_slice_str(cases[i].text), &token, &ctx), FL_EPARSE);
        assert_contains(ctx.text, cases[i].words);
    }
    memset(longest, 'A', sizeof longest);
    memcpy(longest, "fl1.", 4);
    assert_int_equal(fl_token_decode(fl_slice(longest, sizeof longest), &token, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "too long");
    assert_int_equal(fl_token_decode(fl_slice(longest, FL_LIMIT_TOKEN_TEXT), &token, &ctx),
                     FL_EPARSE);
    assert_contains(ctx.text, "too long");
}

/* Changes the decoded bytes and makes the CRC right again: what a later version, or an attacker who
 * knows the format, may send. */
static enum fl_error decode_changed(size_t at, uint8_t value, struct fl_context *ctx)
{
    struct fl_token token = sample();
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_TOKEN_TEXT);
    struct fl_buffer bytes = FL_BUFFER(1024);
    uint32_t crc = UINT32_MAX;
    enum fl_error error = FL_OK;

    assert_ok(fl_token_encode(&token, &text));
    assert_ok(fl_base64url_decode(fl_slice_from(fl_buffer_slice(&text), 4), &bytes));
    bytes.data[at < bytes.size ? at : 0] = value;
    for (size_t i = 0; i < bytes.size - 4; i++) {
        crc ^= bytes.data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320U : 0);
    }
    for (size_t i = 0; i < 4; i++)
        bytes.data[bytes.size - 4 + i] = (uint8_t)(~crc >> (24 - 8 * i));
    fl_buffer_clear(&text);
    assert_ok(fl_buffer_append_str(&text, "fl1."));
    assert_ok(fl_base64url_encode(fl_buffer_slice(&bytes), &text));
    error = fl_token_decode(fl_buffer_slice(&text), &token, ctx);
    fl_buffer_free(&bytes);
    fl_buffer_free(&text);
    return error;
}

static void a_well_sealed_but_senseless_token_is_refused(void **state)
{
    /* Offsets: kind 0, secret 1, root 17, expiry 49, id size 57, id 58, host size 64, host 65,
     * ports 80 and 82. */
    static const struct {
        size_t at;
        uint8_t value;
        const char *words;
    } cases[] = {
        {0, 0, "later version"}, {0, 3, "later version"}, {57, 0, "damaged"},
        {57, 5, "damaged"},      {57, 255, "damaged"},    {57, 60, "damaged"},
        {58, '/', "damaged"},    {58, 0, "damaged"},      {64, 0, "damaged"},
        {64, 255, "damaged"},    {65, ' ', "damaged"},    {65, '"', "damaged"},
    };
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(decode_changed(0, FL_TOKEN_DEVICE, &ctx));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(decode_changed(cases[i].at, cases[i].value, &ctx), FL_EPARSE);
        assert_contains(ctx.text, cases[i].words);
    }
}

static void what_cannot_be_a_token_is_not_encoded(void **state)
{
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_TOKEN_TEXT);
    struct fl_buffer tiny = FL_BUFFER(20);
    struct fl_token token = sample();
    (void)state;

    token.id[0] = 0;
    assert_int_equal(fl_token_encode(&token, &text), FL_EINVAL);
    token = sample();
    token.host[0] = 0;
    assert_int_equal(fl_token_encode(&token, &text), FL_EINVAL);
    token = sample();
    token.host[3] = '/';
    assert_int_equal(fl_token_encode(&token, &text), FL_EINVAL);
    token = sample();
    token.https_port = 0;
    assert_int_equal(fl_token_encode(&token, &text), FL_EINVAL);
    token = sample();
    token.mqtt_port = 0;
    assert_int_equal(fl_token_encode(&token, &text), FL_EINVAL);
    token = sample();
    assert_int_equal(fl_token_encode(&token, &tiny), FL_ELIMIT);
    fl_buffer_free(&tiny);
    fl_buffer_free(&text);
}

static void addresses_are_hosts_too(void **state)
{
    static const char *hosts[] = {"192.0.2.10", "2001:db8::1", "localhost"};
    (void)state;

    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct fl_buffer text = FL_BUFFER(FL_LIMIT_TOKEN_TEXT);
        struct fl_token token = sample();
        struct fl_token back = {0};

        assert_true(fl_str_copy(token.host, sizeof token.host, hosts[i]));
        assert_ok(fl_token_encode(&token, &text));
        assert_ok(fl_token_decode(fl_buffer_slice(&text), &back, NULL));
        assert_string_equal(back.host, hosts[i]);
        fl_buffer_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_survives_the_way_through_text),
        cmocka_unit_test(the_longest_token_fits_its_limit),
        cmocka_unit_test(white_space_around_a_token_is_forgiven),
        cmocka_unit_test(every_single_typing_mistake_is_noticed),
        cmocka_unit_test(every_cut_token_is_noticed_and_leaves_nothing_behind),
        cmocka_unit_test(words_tell_what_is_wrong),
        cmocka_unit_test(a_well_sealed_but_senseless_token_is_refused),
        cmocka_unit_test(what_cannot_be_a_token_is_not_encoded),
        cmocka_unit_test(addresses_are_hosts_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
