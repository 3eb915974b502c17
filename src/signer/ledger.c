/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/ledger.h"

#include "base/log.h"
#include "trust/issued_chain.h"
#include "trust/key.h"

#include <stdio.h>

#define TAG "issue"

static enum fl_error key_of_issuer(struct fl_ledger *ledger, struct fl_context *ctx)
{
    char id[FL_KEY_ID_TEXT];
    size_t size = 0;
    enum fl_error error = fl_key_id(ledger->key, id);

    if (error == FL_OK)
        error = fl_unhex(ledger->issuer, sizeof ledger->issuer, fl_slice_str(id), &size);
    return error == FL_OK ? FL_OK : fl_fail(ctx, error, "the issuing key has no name");
}

enum fl_error fl_ledger_open(struct fl_ledger *ledger, const char *dir, EVP_PKEY *key,
                             fl_time_t now, struct fl_context *ctx)
{
    char path[4096 + 64];
    struct fl_issuance_config config = {.now = now};
    struct fl_issuance_tail tail = {0};
    enum fl_error error = FL_OK;

    *ledger = (struct fl_ledger){.key = key};
    error = key_of_issuer(ledger, ctx);
    (void)snprintf(path, sizeof path, "%s/" FL_LEDGER_FOLDER, dir);
    if (error == FL_OK)
        error = fl_files_open(path, &ledger->folder, ctx);
    if (error != FL_OK)
        return error;
    config.files = fl_files_of(&ledger->folder);
    error = fl_issuance_open(&config, &ledger->log, &tail, ctx);
    if (error != FL_OK)
        return fl_fail_in(ctx, error, FL_LEDGER_FOLDER);
    if (tail.octets)
        fl_log(FL_LOG_WARN, TAG,
               FL_LEDGER_FOLDER
               ": cut off %llu octets of an interrupted write (%u whole records, whose "
               "certificates never left)",
               (unsigned long long)tail.octets, tail.records);
    ledger->covered = fl_issuance_signed(ledger->log);
    return FL_OK;
}

void fl_ledger_close(struct fl_ledger *ledger)
{
    fl_issuance_free(ledger->log);
    fl_files_close(&ledger->folder);
    *ledger = (struct fl_ledger){0};
}

enum fl_error fl_ledger_ready(struct fl_ledger *ledger, struct fl_context *ctx)
{
    return fl_issuance_is_behind(ledger->log) ? fl_issuance_commit(ledger->log, ctx) : FL_OK;
}

static enum fl_error add(struct fl_ledger *ledger, struct fl_issued *record, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    record->unrecorded = ledger->unrecorded;
    memcpy(record->issuer, ledger->issuer, sizeof record->issuer);
    error = fl_issuance_add(ledger->log, record, ctx);
    if (error == FL_OK)
        ledger->unrecorded = 0;
    return error;
}

static enum fl_issued_kind kind_of(enum fl_cert_kind kind)
{
    if (kind == FL_CERT_DEVICE)
        return FL_ISSUED_DEVICE;
    return kind == FL_CERT_OCSP ? FL_ISSUED_OCSP : FL_ISSUED_SERVER;
}

enum fl_error fl_ledger_issued(struct fl_ledger *ledger, const struct fl_ledger_entry *entry,
                               struct fl_context *ctx)
{
    const struct fl_cert_info *info = entry->certificate;
    uint8_t serial[FL_LIMIT_SERIAL_HEX / 2];
    struct fl_issued record = {.kind = kind_of(info->kind),
                               .at = entry->now,
                               .not_before = info->not_before,
                               .not_after = info->not_after,
                               .subject = fl_slice_str(info->name),
                               .reason = entry->reason};
    size_t size = 0;
    enum fl_error error = fl_unhex(serial, sizeof serial, fl_slice_str(info->serial), &size);

    if (error != FL_OK)
        return fl_fail(ctx, error, "the serial number cannot be recorded");
    record.serial = fl_slice(serial, size);
    memcpy(record.sha256, info->sha256, sizeof record.sha256);
    memcpy(record.key, entry->key, sizeof record.key);
    return add(ledger, &record, ctx);
}

void fl_ledger_refused(struct fl_ledger *ledger, const struct fl_msg_sign *request,
                       enum fl_error error, const char *text, fl_time_t now, fl_time_t monotonic)
{
    char subject[FL_NAME_MAX + 1];
    char words[FL_LIMIT_ISSUED_TEXT + 1];
    struct fl_issued record = {
        .kind = FL_ISSUED_REFUSED, .at = now, .error = (uint32_t)error, .reason = request->reason};
    struct fl_context ctx = {0};

    record.subject = fl_slice_str(fl_str_printable(subject, sizeof subject, request->name));
    (void)fl_str_copy(words, sizeof words, text);
    record.text = fl_slice_str(words);
    if (fl_issuance_is_behind(ledger->log) ||
        !fl_signer_rate_take_of(&ledger->refusals, monotonic, FL_LEDGER_REFUSALS,
                                FL_LEDGER_REFUSALS_BURST) ||
        add(ledger, &record, &ctx) != FL_OK) {
        if (ledger->unrecorded < UINT32_MAX)
            ledger->unrecorded++;
    }
}

bool fl_ledger_is_uncovered(const struct fl_ledger *ledger)
{
    return fl_issuance_last(ledger->log) > ledger->covered || ledger->unrecorded > 0;
}

enum fl_error fl_ledger_checkpoint(struct fl_ledger *ledger, fl_time_t now, struct fl_context *ctx)
{
    uint8_t signature[FL_ISSUED_SIGNATURE];
    struct fl_issued record = {.kind = FL_ISSUED_CHECKPOINT,
                               .at = now,
                               .seq = fl_issuance_last(ledger->log) + 1,
                               .signature = fl_slice(signature, sizeof signature)};
    enum fl_error error = fl_ledger_ready(ledger, ctx);

    if (error != FL_OK)
        return error;
    fl_issuance_head(ledger->log, record.prev);
    error = fl_issued_sign(ledger->key, &record, signature, ctx);
    if (error == FL_OK)
        error = add(ledger, &record, ctx);
    if (error == FL_OK)
        error = fl_issuance_commit(ledger->log, ctx);
    if (error == FL_OK)
        ledger->covered = fl_issuance_last(ledger->log);
    return error;
}

enum fl_error fl_ledger_commit(struct fl_ledger *ledger, fl_time_t now, struct fl_context *ctx)
{
    struct fl_context words = {0};
    enum fl_error error = fl_issuance_commit(ledger->log, ctx);

    if (error != FL_OK || fl_issuance_last(ledger->log) - ledger->covered < FL_LEDGER_CHECKPOINT)
        return error;
    /* What was to be written is. A token that is away signs the next one. */
    if (fl_ledger_checkpoint(ledger, now, &words) != FL_OK)
        fl_log(FL_LOG_WARN, TAG, "no checkpoint of the issuance log: %s", words.text);
    return FL_OK;
}

void fl_ledger_page(struct fl_ledger *ledger, const struct fl_msg_issued_ask *ask,
                    struct fl_buffer *records, struct fl_context *text,
                    struct fl_msg_issued_page *page)
{
    struct fl_issuance_place place = {
        .after = ask->after, .offset = ask->offset, .since = ask->since};
    enum fl_error error = FL_OK;

    records->max = FL_LIMIT_ISSUED_PAGE;
    fl_buffer_clear(records);
    text->text[0] = 0;
    error = fl_issuance_page(ledger->log, &place, records, FL_LIMIT_ISSUED_PAGE, text);
    (void)fl_fail_in(text, error, FL_LEDGER_FOLDER);
    *page = (struct fl_msg_issued_page){.request = ask->request,
                                        .error = (uint32_t)error,
                                        .detail = fl_slice_str(text->text),
                                        .after = place.after,
                                        .offset = place.offset,
                                        .records = fl_buffer_slice(records)};
}
