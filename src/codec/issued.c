/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/issued.h"

#include "base/crc32c.h"
#include "codec/fields.h"

static const uint8_t magic[4] = {'F', 'L', 'I', '1'};

enum { SERIAL_MAX = 20, CRC_AT = 8 };

static const char *const kind_names[] = {
    [FL_ISSUED_DEVICE] = "device",     [FL_ISSUED_SERVER] = "server",
    [FL_ISSUED_REFUSED] = "refused",   [FL_ISSUED_CHECKPOINT] = "checkpoint",
    [FL_ISSUED_REPAIRED] = "repaired", [FL_ISSUED_OCSP] = "ocsp",
};
#define KINDS (sizeof kind_names / sizeof kind_names[0])

const char *fl_issued_kind_name(enum fl_issued_kind kind)
{
    return (size_t)kind < KINDS && kind_names[kind] ? kind_names[kind] : "unknown";
}

static void put_uint(struct fl_buffer *out, uint64_t value, size_t size)
{
    uint8_t bytes[8];

    fl_put_le64(bytes, value);
    (void)fl_buffer_append(out, bytes, size);
}

static void put_bytes(struct fl_buffer *out, struct fl_slice bytes)
{
    put_uint(out, bytes.size, 4);
    (void)fl_buffer_append_slice(out, bytes);
}

static void put_body(const struct fl_issued *r, struct fl_buffer *out)
{
    put_uint(out, (uint64_t)r->kind, 1);
    put_uint(out, r->seq, 8);
    put_uint(out, r->batch, 8);
    put_uint(out, (uint64_t)r->at, 8);
    put_uint(out, r->error, 4);
    put_uint(out, r->unrecorded, 4);
    put_uint(out, (uint64_t)r->not_before, 8);
    put_uint(out, (uint64_t)r->not_after, 8);
    (void)fl_buffer_append(out, r->prev, sizeof r->prev);
    (void)fl_buffer_append(out, r->sha256, sizeof r->sha256);
    (void)fl_buffer_append(out, r->key, sizeof r->key);
    (void)fl_buffer_append(out, r->issuer, sizeof r->issuer);
    put_bytes(out, r->serial);
    put_bytes(out, r->subject);
    put_bytes(out, r->reason);
    put_bytes(out, r->text);
    put_bytes(out, r->signature);
}

static uint32_t checksum(const uint8_t *size, struct fl_slice body)
{
    return fl_crc32c(fl_crc32c(0, fl_slice(size, 4)), body);
}

static size_t padded(size_t size)
{
    return (size + FL_ISSUED_ALIGN - 1) / FL_ISSUED_ALIGN * FL_ISSUED_ALIGN;
}

enum fl_error fl_issued_encode(const struct fl_issued *r, struct fl_buffer *out)
{
    static const uint8_t zeros[FL_ISSUED_HEADER + FL_ISSUED_ALIGN];
    size_t before = out->size;
    bool failed = out->failed;
    size_t body = 0;
    uint8_t *frame = NULL;

    if (r->serial.size > SERIAL_MAX || r->subject.size > FL_LIMIT_HOST ||
        r->reason.size > FL_LIMIT_ISSUED_REASON || r->text.size > FL_LIMIT_ISSUED_TEXT ||
        r->signature.size > FL_ISSUED_SIGNATURE)
        return FL_ELIMIT;
    (void)fl_buffer_append(out, zeros, FL_ISSUED_HEADER);
    put_body(r, out);
    body = out->size - before - FL_ISSUED_HEADER;
    (void)fl_buffer_append(out, zeros, padded(FL_ISSUED_HEADER + body) - FL_ISSUED_HEADER - body);
    if (out->failed) {
        out->size = before;
        out->failed = failed;
        return FL_ELIMIT;
    }
    frame = out->data + out->start + before;
    memcpy(frame, magic, sizeof magic);
    fl_put_le32(frame + 4, (uint32_t)body);
    fl_put_le32(frame + CRC_AT, checksum(frame + 4, fl_slice(frame + FL_ISSUED_HEADER, body)));
    return FL_OK;
}

static void take_fixed(struct fl_fields *f, const char *name, uint8_t *to, size_t size)
{
    if (f->in.size < size && !f->bad)
        f->bad = name;
    if (f->bad)
        return;
    memcpy(to, f->in.data, size);
    f->in = fl_slice_from(f->in, size);
}

static bool take_body(struct fl_slice body, struct fl_issued *r)
{
    struct fl_fields f = {.in = body};

    *r = (struct fl_issued){.body = body};
    r->kind = (enum fl_issued_kind)fl_fields_uint(&f, "kind", 1);
    r->seq = fl_fields_uint(&f, "seq", 8);
    r->batch = fl_fields_uint(&f, "batch", 8);
    r->at = (fl_time_t)fl_fields_uint(&f, "at", 8);
    r->error = (uint32_t)fl_fields_uint(&f, "error", 4);
    r->unrecorded = (uint32_t)fl_fields_uint(&f, "unrecorded", 4);
    r->not_before = (fl_time_t)fl_fields_uint(&f, "not_before", 8);
    r->not_after = (fl_time_t)fl_fields_uint(&f, "not_after", 8);
    take_fixed(&f, "prev", r->prev, sizeof r->prev);
    take_fixed(&f, "sha256", r->sha256, sizeof r->sha256);
    take_fixed(&f, "key", r->key, sizeof r->key);
    take_fixed(&f, "issuer", r->issuer, sizeof r->issuer);
    r->serial = fl_fields_bytes(&f, "serial", SERIAL_MAX);
    r->subject = fl_fields_bytes(&f, "subject", FL_LIMIT_HOST);
    r->reason = fl_fields_bytes(&f, "reason", FL_LIMIT_ISSUED_REASON);
    r->text = fl_fields_bytes(&f, "text", FL_LIMIT_ISSUED_TEXT);
    r->signature = fl_fields_bytes(&f, "signature", FL_ISSUED_SIGNATURE);
    return !f.bad && f.in.size == 0 && r->seq > 0 && r->batch <= r->seq &&
           strcmp(fl_issued_kind_name(r->kind), "unknown") != 0 && fl_slice_is_utf8(r->subject) &&
           fl_slice_is_utf8(r->reason) && fl_slice_is_utf8(r->text);
}

enum fl_error fl_issued_decode(struct fl_slice *in, struct fl_issued *record)
{
    size_t known = in->size < sizeof magic ? in->size : sizeof magic;
    struct fl_slice body = {0};
    size_t size = 0;

    if (known && memcmp(in->data, magic, known) != 0)
        return FL_EPARSE;
    if (in->size < FL_ISSUED_HEADER)
        return FL_EMORE;
    size = fl_get_le32(in->data + 4);
    if (size > FL_ISSUED_MAX - FL_ISSUED_HEADER - FL_ISSUED_ALIGN)
        return FL_EPARSE;
    if (in->size < padded(FL_ISSUED_HEADER + size))
        return FL_EMORE;
    body = fl_slice(in->data + FL_ISSUED_HEADER, size);
    if (fl_get_le32(in->data + CRC_AT) != checksum(in->data + 4, body))
        return FL_EPARSE;
    for (size_t at = FL_ISSUED_HEADER + size; at < padded(FL_ISSUED_HEADER + size); at++)
        if (in->data[at] != 0)
            return FL_EPARSE;
    if (!take_body(body, record))
        return FL_EPARSE;
    *in = fl_slice_from(*in, padded(FL_ISSUED_HEADER + size));
    return FL_OK;
}
