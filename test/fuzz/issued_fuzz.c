/* SPDX-License-Identifier: Apache-2.0
 *
 * Octets as a file of the issuance log. What is decoded encodes to the same octets, lies inside the
 * input, and a log that has them for its only file opens or says why not.
 */
#include "proto/issuance.h"
#include "test/twin/files_twin.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_all(struct fl_slice in)
{
    struct fl_buffer out = FL_BUFFER(FL_ISSUED_MAX);
    struct fl_issued record;

    for (;;) {
        struct fl_slice before = in;

        fl_buffer_clear(&out);
        if (fl_issued_decode(&in, &record) != FL_OK)
            break;
        if (fl_issued_encode(&record, &out) != FL_OK ||
            !fl_slice_equal(fl_buffer_slice(&out), fl_slice(before.data, before.size - in.size)))
            abort();
    }
    fl_buffer_free(&out);
}

static void open_as_log(struct fl_slice in)
{
    struct fl_files_twin *twin = fl_files_twin_new(1);
    struct fl_issuance_config config = {.files = fl_files_twin_files(twin)};
    struct fl_buffer page = FL_BUFFER(FL_LIMIT_ISSUED_PAGE);
    struct fl_issuance_place place = {0};
    struct fl_issuance_tail tail;
    struct fl_issuance *log = NULL;
    struct fl_context ctx = {0};

    if (config.files.write(config.files.self, "issued-0000000000000001.seg", 0, in, NULL) != FL_OK)
        abort();
    if (fl_issuance_open(&config, &log, &tail, &ctx) == FL_OK) {
        if (fl_issuance_page(log, &place, &page, FL_LIMIT_ISSUED_PAGE, &ctx) != FL_OK)
            abort();
    } else if (ctx.text[0] == 0) {
        abort();
    }
    fl_issuance_free(log);
    fl_buffer_free(&page);
    fl_files_twin_free(twin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode_all(fl_slice(data, size));
    open_as_log(fl_slice(data, size));
    return 0;
}
