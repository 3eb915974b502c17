/* SPDX-License-Identifier: Apache-2.0 */
#include "service/issued_check.h"

#include "base/endian.h"
#include "service/audit.h"
#include "trust/cert.h"
#include "trust/key.h"

#include <stdio.h>
#include <stdlib.h>

static struct fl_slice seen_key(void)
{
    return fl_slice_str("issued");
}

/* --- what was seen --- */

enum fl_error fl_issued_seen_get(const struct fl_store *store, struct fl_issued_seen *seen,
                                 struct fl_context *ctx)
{
    char text[2 * FL_ISSUED_HASH + 1];
    json_t *document = NULL;
    size_t size = 0;
    enum fl_error error = fl_document_get(store, FL_TABLE_META, seen_key(), &document, ctx);

    *seen = (struct fl_issued_seen){0};
    if (error == FL_ENOTFOUND)
        return FL_OK;
    if (error != FL_OK)
        return error;
    fl_document_str(document, "head", text, sizeof text);
    seen->seq = (uint64_t)fl_document_int(document, "seq", 0);
    if (fl_unhex(seen->head, sizeof seen->head, fl_slice_str(text), &size) != FL_OK ||
        size != sizeof seen->head)
        error = fl_fail(ctx, FL_EPARSE, "what was seen of the issuance log cannot be read");
    json_decref(document);
    return error;
}

enum fl_error fl_issued_seen_put(const struct fl_store *store, const struct fl_issued_seen *seen,
                                 struct fl_context *ctx)
{
    char text[2 * FL_ISSUED_HASH + 1];
    json_t *document = NULL;
    enum fl_error error = FL_OK;

    fl_hex(text, sizeof text, fl_slice(seen->head, sizeof seen->head));
    document = json_pack("{s:I, s:s}", "seq", (json_int_t)seen->seq, "head", text);
    error = fl_document_put(store, FL_TABLE_META, seen_key(), document, ctx);
    json_decref(document);
    return error;
}

/* --- findings --- */

static void find(struct fl_issued_check *check, const char *format, ...) FL_PRINTF(2, 3);

static void find(struct fl_issued_check *check, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (json_array_size(check->findings) < FL_ISSUED_FINDINGS)
        (void)json_array_append_new(check->findings, json_string(text));
}

void fl_issued_check_break(struct fl_issued_check *check, const char *words)
{
    if (check->broken)
        return;
    check->broken = true;
    check->ended = true;
    check->done = true;
    (void)fl_str_copy(check->detail, sizeof check->detail, words);
}

static void serial_text(const struct fl_issued *record, char to[FL_LIMIT_SERIAL_HEX])
{
    fl_hex(to, FL_LIMIT_SERIAL_HEX, record->serial);
}

static uint64_t serial_start(struct fl_slice serial)
{
    return serial.size >= 8 ? fl_get_le64(serial.data) : serial.size;
}

/* --- the log --- */

enum fl_error fl_issued_check_begin(struct fl_issued_check *check, const struct fl_store *store,
                                    struct fl_slice issuing, struct fl_context *ctx)
{
    X509 *x509 = NULL;
    enum fl_error error = FL_OK;

    *check = (struct fl_issued_check){.findings = json_array()};
    if (!check->findings)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    error = fl_cert_x509(issuing, &x509, ctx);
    if (error == FL_OK) {
        check->issuer = X509_get_pubkey(x509);
        error = check->issuer ? FL_OK : fl_crypto_fail(ctx, "the issuing key");
    }
    X509_free(x509);
    if (error == FL_OK)
        error = fl_issued_seen_get(store, &check->seen, ctx);
    return error;
}

static enum fl_error note_serial(struct fl_issued_check *check, const struct fl_issued *record,
                                 struct fl_context *ctx)
{
    size_t count = (size_t)check->devices;

    if (count == FL_LIMIT_ISSUED_CHECKED)
        return fl_fail(ctx, FL_ELIMIT,
                       "over %d certificates in the issuance log: archive its oldest files",
                       FL_LIMIT_ISSUED_CHECKED);
    if (count == check->capacity) {
        size_t capacity = count ? 2 * count : 1024;
        uint64_t *serials = realloc(check->serials, capacity * sizeof *serials);

        if (!serials)
            return fl_fail(ctx, FL_ENOMEM, "out of memory");
        check->serials = serials;
        check->capacity = capacity;
    }
    check->serials[count] = serial_start(record->serial);
    check->devices++;
    return FL_OK;
}

static bool is_same(const struct fl_issued *record, const struct fl_credential *credential)
{
    char key[FL_KEY_ID_TEXT];

    fl_hex(key, sizeof key, fl_slice(record->key, (FL_KEY_ID_TEXT - 1) / 2));
    return fl_slice_is(record->subject, credential->device) && strcmp(key, credential->key) == 0 &&
           record->not_after == credential->not_after;
}

static enum fl_error check_device(struct fl_issued_check *check, const struct fl_store *store,
                                  const struct fl_issued *record, struct fl_context *ctx)
{
    struct fl_credential credential = {0};
    char serial[FL_LIMIT_SERIAL_HEX];
    char at[FL_TIME_TEXT_MAX];
    enum fl_error error = note_serial(check, record, ctx);

    if (error != FL_OK)
        return error;
    serial_text(record, serial);
    error = fl_credential_get(store, serial, &credential, ctx);
    if (error == FL_OK && is_same(record, &credential))
        return FL_OK;
    if (error != FL_OK && error != FL_ENOTFOUND)
        return error;
    check->unknown++;
    find(check,
         error == FL_ENOTFOUND
             ? "ALARM: the signer issued certificate %s for %.*s at %s (record %llu), and this hub "
               "does not know it"
             : "ALARM: certificate %s of %.*s, issued at %s (record %llu), is another one in this "
               "hub's registry",
         serial, FL_SLICE_ARGS(record->subject), fl_time_format(record->at, at),
         (unsigned long long)record->seq);
    return FL_OK;
}

static enum fl_error check_record(struct fl_issued_check *check, const struct fl_store *store,
                                  const struct fl_issued *record, struct fl_context *ctx)
{
    if (record->seq == check->chain.first)
        check->first_at = record->at;
    switch (record->kind) {
    case FL_ISSUED_DEVICE:
        return check_device(check, store, record, ctx);
    case FL_ISSUED_SERVER:
    case FL_ISSUED_OCSP:
        check->servers++;
        break;
    case FL_ISSUED_REFUSED:
        check->refused++;
        break;
    case FL_ISSUED_REPAIRED:
        check->repaired++;
        break;
    case FL_ISSUED_CHECKPOINT:
        break;
    }
    return FL_OK;
}

enum fl_error fl_issued_check_page(struct fl_issued_check *check, const struct fl_store *store,
                                   struct fl_slice frames, struct fl_context *ctx)
{
    struct fl_context words = {0};
    struct fl_issued record = {0};

    while (frames.size && !check->broken) {
        enum fl_error error = FL_OK;

        if (fl_issued_decode(&frames, &record) != FL_OK) {
            fl_issued_check_break(check, "a record cannot be read");
            break;
        }
        if (fl_issued_follow(&check->chain, &record, check->issuer, &words) != FL_OK) {
            (void)fl_fail_in(&words, FL_EAUTH, "record %llu", (unsigned long long)record.seq);
            fl_issued_check_break(check, words.text);
            break;
        }
        error = check_record(check, store, &record, ctx);
        if (error != FL_OK)
            return error;
        if (record.seq == check->seen.seq &&
            memcmp(check->chain.head, check->seen.head, FL_ISSUED_HASH) != 0) {
            (void)fl_fail(&words, FL_EAUTH,
                          "record %llu is not the one that this hub saw: the log was written anew",
                          (unsigned long long)record.seq);
            fl_issued_check_break(check, words.text);
        }
    }
    return FL_OK;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return (*x > *y) - (*x < *y);
}

void fl_issued_check_end(struct fl_issued_check *check)
{
    char words[160];

    if (check->broken)
        return;
    if (check->chain.seq < check->seen.seq) {
        (void)snprintf(words, sizeof words,
                       "it ends with record %llu, and this hub has seen record %llu: its end was "
                       "removed",
                       (unsigned long long)check->chain.seq, (unsigned long long)check->seen.seq);
        fl_issued_check_break(check, words);
        return;
    }
    check->ended = true;
    if (check->devices)
        qsort(check->serials, (size_t)check->devices, sizeof *check->serials, compare);
}

/* --- the registry --- */

struct walk {
    struct fl_issued_check *check;
    uint32_t seen;
};

static bool visit_credential(void *to, struct fl_slice key, struct fl_slice text)
{
    struct walk *walk = to;
    struct fl_issued_check *check = walk->check;
    json_t *document = fl_document_parse(text);
    uint8_t serial[FL_LIMIT_SERIAL_HEX / 2] = {0};
    char device[FL_NAME_MAX + 1];
    size_t size = 0;
    uint64_t start = 0;

    walk->seen++;
    (void)fl_str_copy_slice(check->after, sizeof check->after, key);
    fl_document_str(document, "device", device, sizeof device);
    if (fl_unhex(serial, sizeof serial, key, &size) == FL_OK)
        start = serial_start(fl_slice(serial, size));
    if (check->devices &&
        bsearch(&start, check->serials, (size_t)check->devices, sizeof start, compare)) {
        json_decref(document);
        return true;
    }
    /* A certificate begins some minutes before it is issued. */
    if (!check->chain.seq ||
        fl_document_int(document, "not_before", 0) < check->first_at - FL_ISSUED_OLDER_MS) {
        check->older++;
    } else {
        check->missing++;
        find(check,
             "ALARM: certificate %.*s of %s is in this hub's registry and not in the issuance log",
             FL_SLICE_ARGS(key), device);
    }
    json_decref(document);
    return true;
}

enum fl_error fl_issued_check_credentials(struct fl_issued_check *check,
                                          const struct fl_store *store, uint32_t count,
                                          struct fl_context *ctx)
{
    struct walk walk = {.check = check};
    char from[FL_LIMIT_SERIAL_HEX + 1];
    enum fl_error error = FL_OK;

    if (check->done)
        return FL_OK;
    /* The next key in byte order behind the last one. */
    (void)snprintf(from, sizeof from, "%s", check->after);
    error = store->ops->scan(store->self, FL_TABLE_CREDENTIAL,
                             fl_slice(from, check->after[0] ? strlen(from) + 1 : 0),
                             fl_slice(NULL, 0), false, count, visit_credential, &walk, ctx);
    check->done = error == FL_OK && walk.seen < count;
    return error;
}

void fl_issued_check_free(struct fl_issued_check *check)
{
    EVP_PKEY_free(check->issuer);
    json_decref(check->findings);
    free(check->serials);
    *check = (struct fl_issued_check){0};
}

/* --- what came of it --- */

bool fl_issued_check_good(const struct fl_issued_check *check)
{
    return !check->broken && check->unknown == 0 && check->missing == 0;
}

static json_t *time_or_null(fl_time_t t)
{
    char text[FL_TIME_TEXT_MAX];

    return t ? json_string(fl_time_format(t, text)) : json_null();
}

json_t *fl_issued_check_json(const struct fl_issued_check *check)
{
    const struct fl_issued_chain *chain = &check->chain;
    char head[2 * FL_ISSUED_HASH + 1];

    fl_hex(head, sizeof head, fl_slice(chain->head, sizeof chain->head));
    return json_pack("{s:b, s:s, s:I, s:I, s:s, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O}",
                     "valid", (int)fl_issued_check_good(check), "detail", check->detail, "first",
                     (json_int_t)chain->first, "last", (json_int_t)chain->seq, "head", head,
                     "signed_to", (json_int_t)chain->signed_seq, "signed_at",
                     time_or_null(chain->signed_at), "devices", (json_int_t)check->devices,
                     "servers", (json_int_t)check->servers, "refused", (json_int_t)check->refused,
                     "repaired", (json_int_t)check->repaired, "unknown", (json_int_t)check->unknown,
                     "missing", (json_int_t)check->missing, "older", (json_int_t)check->older,
                     "findings", check->findings);
}

static json_t *hex(const uint8_t *bytes, size_t size)
{
    char text[2 * FL_ISSUED_HASH + 1];

    fl_hex(text, sizeof text, fl_slice(bytes, size));
    return json_string(text);
}

static json_t *text_of(struct fl_slice text)
{
    return json_stringn(text.size ? (const char *)text.data : "", text.size);
}

json_t *fl_issued_json(const struct fl_issued *r)
{
    bool is_certificate = fl_issued_is_certificate(r);
    json_t *row =
        json_pack("{s:I, s:o, s:s, s:o, s:o, s:o}", "seq", (json_int_t)r->seq, "at",
                  time_or_null(r->at), "kind", fl_issued_kind_name(r->kind), "subject",
                  text_of(r->subject), "reason", text_of(r->reason), "detail", text_of(r->text));

    if (row && is_certificate) {
        char serial[FL_LIMIT_SERIAL_HEX];

        serial_text(r, serial);
        (void)json_object_set_new(row, "serial", json_string(serial));
        (void)json_object_set_new(row, "not_before", time_or_null(r->not_before));
        (void)json_object_set_new(row, "not_after", time_or_null(r->not_after));
        (void)json_object_set_new(row, "sha256", hex(r->sha256, sizeof r->sha256));
        (void)json_object_set_new(row, "key", hex(r->key, (FL_KEY_ID_TEXT - 1) / 2));
        (void)json_object_set_new(row, "issuer", hex(r->issuer, sizeof r->issuer));
    }
    if (row && r->unrecorded)
        (void)json_object_set_new(row, "unrecorded", json_integer((json_int_t)r->unrecorded));
    return row;
}

/* --- adopting --- */

enum fl_error fl_issued_adopt(const struct fl_store *store, const struct fl_issued *record,
                              fl_time_t now, struct fl_context *ctx)
{
    struct fl_credential credential = {.state = FL_CREDENTIAL_REVOKED,
                                       .not_before = record->not_before,
                                       .not_after = record->not_after};
    struct fl_audit_entry entry = {
        .who = "hub", .what = "credential.unclaimed", .object = credential.device, .at = now};
    struct fl_credential known = {0};
    enum fl_error error = FL_OK;

    serial_text(record, credential.serial);
    (void)fl_str_copy_slice(credential.device, sizeof credential.device, record->subject);
    fl_hex(credential.key, sizeof credential.key, fl_slice(record->key, (FL_KEY_ID_TEXT - 1) / 2));
    (void)fl_str_copy(credential.reason, sizeof credential.reason,
                      "the signer issued it, and this hub never recorded it");
    error = fl_credential_get(store, credential.serial, &known, ctx);
    if (error == FL_OK)
        return FL_EEXISTS;
    if (error != FL_ENOTFOUND)
        return error;
    error = fl_credential_put(store, &credential, ctx);
    if (error == FL_OK) {
        entry.detail =
            json_pack("{s:s, s:I}", "serial", credential.serial, "record", (json_int_t)record->seq);
        error = fl_audit_append(store, &entry, ctx);
    }
    return error;
}
