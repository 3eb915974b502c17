/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests as they come from the wire: the head whole and dripped in must be understood alike, and
 * so must the body; then the helpers on what was found.
 */
#include "codec/http.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fl_http_head whole;
static struct fl_http_head dripped;

static enum fl_error drip_head(struct fl_slice in)
{
    struct fl_http_scan scan = {0};
    enum fl_error error = FL_EMORE;

    for (size_t end = 0; end <= in.size && error == FL_EMORE; end++)
        error = fl_http_head_parse(&scan, fl_slice(in.data, end), &dripped, NULL);
    return error;
}

static void check_body(struct fl_slice in)
{
    struct fl_buffer at_once = FL_BUFFER(FL_LIMIT_HTTP_BODY);
    struct fl_buffer by_byte = FL_BUFFER(FL_LIMIT_HTTP_BODY);
    struct fl_http_body body = {0};
    struct fl_slice rest = in;
    enum fl_error error = FL_OK;
    enum fl_error error_dripped = FL_EMORE;

    fl_http_body_begin(&body, &whole);
    error = fl_http_body_read(&body, &rest, &at_once, NULL);
    fl_http_body_begin(&body, &whole);
    for (size_t i = 0; i <= in.size && error_dripped == FL_EMORE; i++) {
        struct fl_slice one = fl_slice(in.data + i, i < in.size ? 1 : 0);
        error_dripped = fl_http_body_read(&body, &one, &by_byte, NULL);
    }
    fl_assert(error == error_dripped);
    if (error == FL_OK)
        fl_assert(fl_slice_equal(fl_buffer_slice(&at_once), fl_buffer_slice(&by_byte)));
    fl_buffer_free(&at_once);
    fl_buffer_free(&by_byte);
}

static void check_helpers(void)
{
    struct fl_buffer name = FL_BUFFER(FL_LIMIT_HTTP_QUERY);
    struct fl_buffer value = FL_BUFFER(FL_LIMIT_HTTP_QUERY);
    struct fl_slice query = whole.query;
    struct fl_slice authorization = fl_http_head_field(&whole, "authorization");
    struct fl_slice user = {0};
    struct fl_slice password = {0};

    while (fl_http_query_next(&query, &name, &value, NULL) == FL_OK)
        fl_assert(fl_slice_is_utf8(fl_buffer_slice(&value)));
    if (fl_http_query_get(whole.query, "after", &value, NULL) == FL_OK)
        fl_assert(fl_slice_is_utf8(fl_buffer_slice(&value)));
    if (fl_http_basic(authorization, &value, &user, &password) == FL_OK)
        fl_assert(user.size + password.size + 1 == value.size);
    if (fl_http_bearer(authorization, &user) == FL_OK)
        fl_assert(user.size > 0);
    fl_buffer_free(&name);
    fl_buffer_free(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_http_scan scan = {0};
    struct fl_slice in = fl_slice(data, size);
    enum fl_error error = fl_http_head_parse(&scan, in, &whole, NULL);

    fl_assert(drip_head(in) == error);
    if (error)
        return 0;
    fl_assert(whole.size == dripped.size && whole.field_count == dripped.field_count);
    fl_assert(whole.path.size > 0 && whole.path.data[0] == '/');
    fl_assert(memchr(whole.path.data, 0, whole.path.size) == NULL);
    check_body(fl_slice_from(in, whole.size));
    check_helpers();
    return 0;
}
