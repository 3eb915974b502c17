/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/base64.h"
#include "codec/tss2.h"

static uint8_t blob[FL_TSS2_BLOB_MAX + 1];

static struct fl_slice tpm2b(size_t size)
{
    blob[0] = (uint8_t)((size - 2) >> 8);
    blob[1] = (uint8_t)(size - 2);
    return fl_slice(blob, size);
}

static void round_trip(uint32_t parent, size_t size)
{
    struct fl_buffer pem = FL_BUFFER(16384);
    struct fl_buffer der = FL_BUFFER(16384);
    const struct fl_tss2_key key = {
        .parent = parent, .public_area = tpm2b(size), .private_area = tpm2b(size)};
    struct fl_tss2_key read = {0};
    struct fl_context ctx = {0};

    assert_ok(fl_tss2_to_pem(&key, &pem, &ctx));
    assert_true(fl_tss2_is_pem(fl_buffer_slice(&pem)));
    if (fl_tss2_from_pem(fl_buffer_slice(&pem), &der, &read, &ctx) != FL_OK)
        fail_msg("%zu: %s", size, ctx.text);
    assert_int_equal(read.parent, parent);
    assert_true(fl_slice_equal(read.public_area, key.public_area));
    assert_true(fl_slice_equal(read.private_area, key.private_area));
    fl_buffer_free(&der);
    fl_buffer_free(&pem);
}

static void a_key_file_comes_back_as_it_was_written(void **state)
{
    static const size_t sizes[] = {3, 127, 128, 129, 255, 256, 257, FL_TSS2_BLOB_MAX};
    (void)state;

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        round_trip(FL_TSS2_OWNER, sizes[i]);
    round_trip(0x81000001U, 100);
    round_trip(0x40000007U, 100);
}

static void a_blob_over_the_limit_is_not_written(void **state)
{
    struct fl_buffer pem = FL_BUFFER(16384);
    const struct fl_tss2_key key = {.parent = FL_TSS2_OWNER,
                                    .public_area = tpm2b(FL_TSS2_BLOB_MAX + 1),
                                    .private_area = tpm2b(100)};
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(fl_tss2_to_pem(&key, &pem, &ctx), FL_ELIMIT);
    fl_buffer_free(&pem);
}

static enum fl_error read_der(const char *bytes, size_t size, struct fl_context *ctx)
{
    struct fl_buffer pem = FL_BUFFER(16384);
    struct fl_buffer der = FL_BUFFER(16384);
    struct fl_tss2_key key = {0};
    enum fl_error error = FL_OK;

    (void)fl_buffer_append_str(&pem, "-----BEGIN TSS2 PRIVATE KEY-----\n");
    (void)fl_base64_encode(fl_slice(bytes, size), 64, &pem);
    (void)fl_buffer_append_str(&pem, "-----END TSS2 PRIVATE KEY-----\n");
    error = fl_tss2_from_pem(fl_buffer_slice(&pem), &der, &key, ctx);
    fl_buffer_free(&der);
    fl_buffer_free(&pem);
    return error;
}

#define DER(text) text, sizeof(text) - 1
#define OID "\x06\x06\x67\x81\x05\x0A\x01\x03"
#define EMPTY_AUTH "\xA0\x03\x01\x01\xFF"
#define PARENT "\x02\x04\x40\x00\x00\x01"
#define BLOB "\x04\x03\x00\x01\x55"

static void what_is_not_such_a_key_is_refused_with_words(void **state)
{
    struct fl_context ctx = {0};
    struct fl_buffer der = FL_BUFFER(100);
    struct fl_tss2_key key = {0};
    (void)state;

    assert_ok(read_der(DER("\x30\x1d" OID EMPTY_AUTH PARENT BLOB BLOB), &ctx));
    /* something after it */
    assert_int_equal(read_der(DER("\x30\x1d" OID EMPTY_AUTH PARENT BLOB BLOB "\x05\x00"), &ctx),
                     FL_EPARSE);
    /* with a password */
    assert_int_equal(read_der(DER("\x30\x18" OID PARENT BLOB BLOB), &ctx), FL_EUNSUPPORTED);
    assert_contains(ctx.text, "password");
    /* with a policy */
    assert_int_equal(read_der(DER("\x30\x1f" OID "\xA1\x00" EMPTY_AUTH PARENT BLOB BLOB), &ctx),
                     FL_EUNSUPPORTED);
    assert_contains(ctx.text, "policy");
    /* an importable key (…10.1.4) */
    assert_int_equal(
        read_der(DER("\x30\x1d\x06\x06\x67\x81\x05\x0A\x01\x04" EMPTY_AUTH PARENT BLOB BLOB), &ctx),
        FL_EUNSUPPORTED);
    /* a parent that is negative, too large, empty; a blob that lies about its size */
    assert_int_equal(
        read_der(DER("\x30\x1d" OID EMPTY_AUTH "\x02\x04\x80\x00\x00\x01" BLOB BLOB), &ctx),
        FL_EPARSE);
    assert_int_equal(
        read_der(DER("\x30\x1e" OID EMPTY_AUTH "\x02\x05\x01\x00\x00\x00\x01" BLOB BLOB), &ctx),
        FL_EPARSE);
    assert_int_equal(read_der(DER("\x30\x19" OID EMPTY_AUTH "\x02\x00" BLOB BLOB), &ctx),
                     FL_EPARSE);
    assert_int_equal(
        read_der(DER("\x30\x1d" OID EMPTY_AUTH PARENT BLOB "\x04\x03\x00\x02\x55"), &ctx),
        FL_EPARSE);
    assert_int_equal(read_der(DER(""), &ctx), FL_EPARSE);
    /* lengths: indefinite, not minimal, of four octets */
    assert_int_equal(read_der(DER("\x30\x80" OID), &ctx), FL_EPARSE);
    assert_int_equal(read_der(DER("\x30\x81\x08" OID), &ctx), FL_EPARSE);
    assert_int_equal(read_der(DER("\x30\x84\x00\x00\x00\x08" OID), &ctx), FL_EPARSE);

    assert_int_equal(fl_tss2_from_pem(fl_slice_str("no key"), &der, &key, &ctx), FL_EPARSE);
    assert_int_equal(
        fl_tss2_from_pem(fl_slice_str("-----BEGIN TSS2 PRIVATE KEY-----\nAA"), &der, &key, &ctx),
        FL_EPARSE);
    assert_int_equal(
        fl_tss2_from_pem(fl_slice_str("-----BEGIN TSS2 PRIVATE KEY-----\n!!!!\n-----END TSS2 "
                                      "PRIVATE KEY-----\n"),
                         &der, &key, &ctx),
        FL_EPARSE);
    fl_buffer_free(&der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_file_comes_back_as_it_was_written),
        cmocka_unit_test(a_blob_over_the_limit_is_not_written),
        cmocka_unit_test(what_is_not_such_a_key_is_refused_with_words),
    };
    return cmocka_run_group_tests_name("tss2", tests, NULL, NULL);
}
