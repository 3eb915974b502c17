/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/audit_files.h"

#include "cli/file.h"
#include "io/files.h"
#include "io/store_sqlite.h"
#include "proto/issuance.h"
#include "service/audit.h"
#include "service/issued_check.h"
#include "trust/cert.h"

#include <errno.h>
#include <unistd.h>

#define STEP 100000

/* --- opening --- */

struct logs {
    struct fl_files_folder folder;
    struct fl_issuance *issuance;
    struct fl_issuance_tail tail;
};

static enum fl_error open_issuance(const char *directory, struct logs *logs, struct fl_context *ctx)
{
    char path[FL_CLI_PATH_MAX];
    struct fl_issuance_config config = {.read_only = true};
    enum fl_error e = fl_file_path(path, directory, "keys/issued", ctx);

    if (e == FL_OK)
        e = fl_files_open(path, &logs->folder, ctx);
    if (e != FL_OK)
        return e;
    config.files = fl_files_of(&logs->folder);
    e = fl_issuance_open(&config, &logs->issuance, &logs->tail, ctx);
    return fl_fail_in(ctx, e, "%s", path);
}

static void close_issuance(struct logs *logs)
{
    fl_issuance_free(logs->issuance);
    fl_files_close(&logs->folder);
}

static enum fl_error open_store(const char *directory, struct fl_store *store,
                                struct fl_context *ctx)
{
    char path[FL_CLI_PATH_MAX];
    enum fl_error e = fl_file_path(path, directory, "state/hub.db", ctx);

    /* Opening makes one that is not there; here there is nothing to be made. */
    if (e == FL_OK && access(path, R_OK | W_OK) != 0)
        return fl_file_fail(ctx, path, errno);
    if (e == FL_OK)
        e = fl_store_sqlite_open(path, NULL, store, ctx);
    return e;
}

static enum fl_error take_certificate(void *to, struct fl_slice der)
{
    struct fl_buffer *out = to;

    return out->size ? FL_OK : fl_buffer_append_slice(out, der);
}

static enum fl_error read_issuing(const char *directory, struct fl_buffer *der,
                                  struct fl_context *ctx)
{
    char path[FL_CLI_PATH_MAX];
    struct fl_buffer pem = FL_BUFFER(FL_LIMIT_CHAIN);
    enum fl_error e = fl_file_path(path, directory, "keys/issuing.pem", ctx);

    if (e == FL_OK)
        e = fl_file_read(path, &pem, ctx);
    if (e == FL_OK)
        e = fl_cert_each_pem(fl_buffer_slice(&pem), take_certificate, der, ctx);
    fl_buffer_free(&pem);
    return e;
}

/* --- checking --- */

static enum fl_error check_issuance(const char *directory, const struct fl_store *store,
                                    struct fl_issued_check *check, struct fl_context *ctx)
{
    struct fl_buffer issuing = FL_BUFFER(FL_LIMIT_CERT);
    struct fl_buffer page = FL_BUFFER(FL_LIMIT_ISSUED_PAGE);
    struct fl_issuance_place place = {0};
    struct fl_context words = {0};
    struct logs logs = {0};
    enum fl_error e = read_issuing(directory, &issuing, ctx);

    if (e == FL_OK)
        e = fl_issued_check_begin(check, store, fl_buffer_slice(&issuing), ctx);
    if (e == FL_OK && open_issuance(directory, &logs, &words) != FL_OK)
        fl_issued_check_break(check, words.text);
    while (e == FL_OK && !check->ended) {
        fl_buffer_clear(&page);
        if (fl_issuance_page(logs.issuance, &place, &page, FL_LIMIT_ISSUED_PAGE, &words) != FL_OK)
            fl_issued_check_break(check, words.text);
        else if (page.size == 0)
            fl_issued_check_end(check);
        else
            e = fl_issued_check_page(check, store, fl_buffer_slice(&page), ctx);
    }
    while (e == FL_OK && !check->done)
        e = fl_issued_check_credentials(check, store, STEP, ctx);
    close_issuance(&logs);
    fl_buffer_free(&page);
    fl_buffer_free(&issuing);
    return e;
}

enum fl_error fl_audit_files_verify(const char *directory, json_t **answer, struct fl_context *ctx)
{
    struct fl_audit_check audit = {0};
    struct fl_issued_check issued = {0};
    struct fl_store store = {0};
    enum fl_error e = open_store(directory, &store, ctx);

    while (e == FL_OK && !audit.done)
        e = fl_audit_check_step(&store, STEP, &audit, ctx);
    if (e == FL_OK && !audit.broken)
        e = check_issuance(directory, &store, &issued, ctx);
    if (e == FL_OK) {
        *answer = json_pack("{s:b, s:I, s:s, s:o}", "valid",
                            (int)(!audit.broken && fl_issued_check_good(&issued)), "records",
                            (json_int_t)audit.records, "head", audit.head, "issuance",
                            audit.broken ? json_null() : fl_issued_check_json(&issued));
        if (audit.broken) {
            (void)json_object_set_new(*answer, "broken_at",
                                      json_integer((json_int_t)audit.broken_at));
            (void)json_object_set_new(*answer, "detail", json_string(audit.detail));
        }
    }
    fl_issued_check_free(&issued);
    if (store.ops)
        store.ops->close(store.self);
    return e;
}

/* --- showing --- */

static bool is_wanted(const struct fl_audit_files_query *query, const struct fl_issued *record)
{
    return record->at >= query->since &&
           (!query->device || (record->kind != FL_ISSUED_SERVER && record->kind != FL_ISSUED_OCSP &&
                               fl_slice_is(record->subject, query->device)));
}

enum fl_error fl_audit_files_issued(const struct fl_audit_files_query *query,
                                    enum fl_error (*visit)(void *to, json_t *row,
                                                           struct fl_context *ctx),
                                    void *to, struct fl_context *ctx)
{
    struct fl_buffer page = FL_BUFFER(FL_LIMIT_ISSUED_PAGE);
    struct fl_issuance_place place = {.after = query->after, .since = query->since};
    struct logs logs = {0};
    uint64_t left = query->limit ? query->limit : UINT64_MAX;
    enum fl_error e = open_issuance(query->directory, &logs, ctx);

    while (e == FL_OK && left) {
        struct fl_slice in;
        struct fl_issued record;

        fl_buffer_clear(&page);
        e = fl_issuance_page(logs.issuance, &place, &page, FL_LIMIT_ISSUED_PAGE, ctx);
        in = fl_buffer_slice(&page);
        if (e != FL_OK || in.size == 0)
            break;
        while (e == FL_OK && left && fl_issued_decode(&in, &record) == FL_OK) {
            json_t *row = NULL;

            if (!is_wanted(query, &record))
                continue;
            row = fl_issued_json(&record);
            e = visit(to, row, ctx);
            json_decref(row);
            left--;
        }
    }
    fl_buffer_free(&page);
    close_issuance(&logs);
    return e;
}
