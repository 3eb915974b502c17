/* SPDX-License-Identifier: Apache-2.0
 *
 * What the front takes apart of a request besides HTTP itself: enrolment bodies up to the judged
 * request, and JSON for the hub, which must be JSON again when it is written.
 */
#include "base/assert.h"
#include "front/https.h"
#include "trust/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_enrolment(struct fl_slice in)
{
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CSR);
    struct fl_csr_info info = {0};
    struct fl_context ctx = {0};

    if (fl_est_decode_csr(in, &der, &ctx) == FL_OK) {
        if (fl_csr_check(fl_buffer_slice(&der), &info, &ctx) == FL_OK)
            fl_assert(info.key);
    } else {
        fl_assert(ctx.text[0]);
    }
    fl_csr_info_free(&info);
    fl_buffer_free(&der);
}

static void check_json(struct fl_slice in)
{
    struct fl_buffer once = FL_BUFFER(FL_LIMIT_HTTP_BODY);
    struct fl_buffer twice = FL_BUFFER(FL_LIMIT_HTTP_BODY);
    struct fl_context ctx = {0};

    if (fl_api_rewrite_json(in, &once, &ctx) == FL_OK) {
        fl_assert(fl_api_rewrite_json(fl_buffer_slice(&once), &twice, &ctx) == FL_OK);
        fl_assert(fl_slice_equal(fl_buffer_slice(&once), fl_buffer_slice(&twice)));
        fl_assert(fl_slice_is_utf8(fl_buffer_slice(&once)));
    }
    fl_buffer_free(&once);
    fl_buffer_free(&twice);
}

/* What is the hub's own origin is "https://", one of its hosts, and its port. */
static void check_origin(struct fl_slice in)
{
    static const struct fl_mqtt_upgrade upgrade = {.hosts = "hub.example ::1", .port = 443};

    if (fl_mqtt_upgrade_is_own(&upgrade, in))
        fl_assert(in.size >= sizeof "https://::1" - 1 && memcmp(in.data, "https://", 8) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *allow = NULL;

    if (fl_https_route(fl_slice(data, size), &allow))
        fl_assert(data[0] == '/');
    check_enrolment(fl_slice(data, size));
    check_json(fl_slice(data, size));
    check_origin(fl_slice(data, size));
    return 0;
}
