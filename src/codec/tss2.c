/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/tss2.h"

#include "base/base64.h"

static const char begin_line[] = "-----BEGIN TSS2 PRIVATE KEY-----";
static const char end_line[] = "-----END TSS2 PRIVATE KEY-----";

enum {
    TAG_BOOLEAN = 0x01,
    TAG_INTEGER = 0x02,
    TAG_OCTETS = 0x04,
    TAG_OID = 0x06,
    TAG_SEQUENCE = 0x30,
    TAG_EMPTY_AUTH = 0xA0,
};

/* 2.23.133.10.1.3, id-loadablekey */
static const uint8_t loadable_key[] = {0x67, 0x81, 0x05, 0x0A, 0x01, 0x03};

static void put(struct fl_buffer *der, uint8_t tag, struct fl_slice value)
{
    (void)fl_buffer_append_byte(der, tag);
    if (value.size >= 0x100) {
        (void)fl_buffer_append_byte(der, 0x82);
        (void)fl_buffer_append_byte(der, (uint8_t)(value.size >> 8));
    } else if (value.size >= 0x80) {
        (void)fl_buffer_append_byte(der, 0x81);
    }
    (void)fl_buffer_append_byte(der, (uint8_t)value.size);
    (void)fl_buffer_append_slice(der, value);
}

enum fl_error fl_tss2_to_pem(const struct fl_tss2_key *key, struct fl_buffer *pem,
                             struct fl_context *ctx)
{
    static const uint8_t yes[] = {TAG_BOOLEAN, 1, 0xFF};
    const uint8_t parent[] = {0, (uint8_t)(key->parent >> 24), (uint8_t)(key->parent >> 16),
                              (uint8_t)(key->parent >> 8), (uint8_t)key->parent};
    size_t zero = key->parent >> 31 ? 0 : 1; /* an INTEGER has a sign */
    struct fl_buffer body = FL_BUFFER(8192);
    struct fl_buffer der = FL_BUFFER(8192);
    enum fl_error error = FL_OK;

    if (key->public_area.size > FL_TSS2_BLOB_MAX || key->private_area.size > FL_TSS2_BLOB_MAX)
        return fl_fail(ctx, FL_ELIMIT, "a TPM key's blob is over %u bytes", FL_TSS2_BLOB_MAX);
    put(&body, TAG_OID, fl_slice(loadable_key, sizeof loadable_key));
    put(&body, TAG_EMPTY_AUTH, fl_slice(yes, sizeof yes));
    put(&body, TAG_INTEGER, fl_slice(parent + zero, sizeof parent - zero));
    put(&body, TAG_OCTETS, key->public_area);
    put(&body, TAG_OCTETS, key->private_area);
    put(&der, TAG_SEQUENCE, fl_buffer_slice(&body));
    (void)fl_buffer_printf(pem, "%s\n", begin_line);
    (void)fl_base64_encode(fl_buffer_slice(&der), 64, pem);
    (void)fl_buffer_printf(pem, "%s\n", end_line);
    if (body.failed || der.failed || pem->failed)
        error = fl_fail(ctx, FL_ENOMEM, "no memory for a TPM key file");
    fl_buffer_free(&der);
    fl_buffer_free(&body);
    return error;
}

static const uint8_t *find(struct fl_slice text, const char *part)
{
    return text.size ? memmem(text.data, text.size, part, strlen(part)) : NULL;
}

bool fl_tss2_is_pem(struct fl_slice text)
{
    return find(text, begin_line) != NULL;
}

/* One element off the front of `in`; definite, minimal lengths below 64 KiB only. */
static bool take(struct fl_slice *in, uint8_t *tag, struct fl_slice *value)
{
    size_t head = 2;
    size_t size = 0;

    if (in->size < 2)
        return false;
    *tag = in->data[0];
    size = in->data[1];
    if (size == 0x81 && in->size >= 3 && in->data[2] >= 0x80) {
        head = 3;
        size = in->data[2];
    } else if (size == 0x82 && in->size >= 4 && in->data[2] != 0) {
        head = 4;
        size = (size_t)(in->data[2] << 8 | in->data[3]);
    } else if (size >= 0x80) {
        return false;
    }
    if (in->size - head < size)
        return false;
    *value = fl_slice(in->data + head, size);
    *in = fl_slice_from(*in, head + size);
    return true;
}

static bool take_tag(struct fl_slice *in, uint8_t wanted, struct fl_slice *value)
{
    uint8_t tag = 0;

    return take(in, &tag, value) && tag == wanted;
}

static bool parent_number(struct fl_slice integer, uint32_t *parent)
{
    uint64_t number = 0;

    if (integer.size == 0 || integer.size > 5 || integer.data[0] & 0x80)
        return false;
    for (size_t i = 0; i < integer.size; i++)
        number = number << 8 | integer.data[i];
    *parent = (uint32_t)number;
    return number <= UINT32_MAX;
}

/* A TPM2B names its own size in its first two octets. */
static bool sized(struct fl_slice blob)
{
    return blob.size > 2 && blob.size <= FL_TSS2_BLOB_MAX &&
           (size_t)(blob.data[0] << 8 | blob.data[1]) == blob.size - 2;
}

static enum fl_error parse(struct fl_slice der, struct fl_tss2_key *key, struct fl_context *ctx)
{
    struct fl_slice body = {0};
    struct fl_slice value = {0};
    struct fl_slice flag = {0};
    uint8_t tag = 0;
    bool empty_auth = false;

    if (!take_tag(&der, TAG_SEQUENCE, &body) || der.size || !take_tag(&body, TAG_OID, &value))
        return fl_fail(ctx, FL_EPARSE, "a TPM key file: not the ASN.1 of one");
    if (!fl_slice_equal(value, fl_slice(loadable_key, sizeof loadable_key)))
        return fl_fail(ctx, FL_EUNSUPPORTED, "a TPM key file: not a loadable key");
    while (take(&body, &tag, &value) && tag != TAG_INTEGER) {
        if (tag != TAG_EMPTY_AUTH)
            return fl_fail(ctx, FL_EUNSUPPORTED, "a TPM key file: keys with a policy are not read");
        empty_auth = take_tag(&value, TAG_BOOLEAN, &flag) && flag.size == 1 && flag.data[0] != 0;
    }
    if (tag != TAG_INTEGER || !parent_number(value, &key->parent) ||
        !take_tag(&body, TAG_OCTETS, &key->public_area) ||
        !take_tag(&body, TAG_OCTETS, &key->private_area) || body.size || !sized(key->public_area) ||
        !sized(key->private_area))
        return fl_fail(ctx, FL_EPARSE, "a TPM key file: damaged or cut short");
    if (!empty_auth)
        return fl_fail(ctx, FL_EUNSUPPORTED, "a TPM key file: keys with a password are not read");
    return FL_OK;
}

enum fl_error fl_tss2_from_pem(struct fl_slice pem, struct fl_buffer *der, struct fl_tss2_key *key,
                               struct fl_context *ctx)
{
    const uint8_t *begin = find(pem, begin_line);
    const uint8_t *end = NULL;
    struct fl_slice rest = {0};

    if (!begin)
        return fl_fail(ctx, FL_EPARSE, "a TPM key file: there is no line %s", begin_line);
    begin += sizeof begin_line - 1;
    rest = fl_slice(begin, (size_t)(pem.data + pem.size - begin));
    end = find(rest, end_line);
    if (!end)
        return fl_fail(ctx, FL_EPARSE, "a TPM key file: there is no line %s", end_line);
    if (fl_base64_decode(fl_slice(begin, (size_t)(end - begin)), der) != FL_OK)
        return fl_fail(ctx, FL_EPARSE, "a TPM key file: its base64 is damaged");
    return parse(fl_buffer_slice(der), key, ctx);
}
