/* SPDX-License-Identifier: Apache-2.0
 * Profiles: listing, adding (signed), showing. */
#include "hub/api.h"

#include <math.h>

static json_t *strings_of(const char **items, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(array, json_string(items[i]));
    return array;
}

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *streams_of(const struct fl_profile *p)
{
    json_t *array = json_array();

    for (size_t i = 0; i < p->stream_count; i++) {
        const struct fl_profile_stream *s = &p->streams[i];

        (void)json_array_append_new(array, json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", s->name,
                                                     "unit", s->unit, "min", number_or_null(s->min),
                                                     "max", number_or_null(s->max), "keep",
                                                     fl_api_keep(s->keep_ms)));
    }
    return array;
}

static void add_whens(json_t *array, const char *right, const char **filters, const uint8_t *when,
                      size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (when[i] != FL_GRADE_NONE)
            (void)json_array_append_new(array, json_pack("{s:s, s:s, s:s}", "right", right,
                                                         "filter", filters[i], "grade",
                                                         fl_grade_name((enum fl_grade)when[i])));
}

/* What is a right only while there is evidence. */
static json_t *whens_of(const struct fl_profile *p)
{
    json_t *array = json_array();

    add_whens(array, "publish", p->publish, p->publish_when, p->publish_count);
    add_whens(array, "subscribe", p->subscribe, p->subscribe_when, p->subscribe_count);
    return array;
}

static json_t *require_of(const struct fl_profile *p)
{
    json_t *object = json_object();
    char text[FL_TIME_TEXT_MAX];

    for (enum fl_grade g = FL_GRADE_REPORTED; g < FL_GRADE_COUNT; g++)
        if (p->within_ms[g])
            (void)json_object_set_new(object, fl_grade_name(g),
                                      json_string(fl_duration_format(p->within_ms[g], text)));
    return object;
}

/* NULL: the stored text is not a profile any more. */
static json_t *profile_of(const struct fl_profile_record *record, bool with_text)
{
    struct fl_profile p = {0};
    struct fl_slice text = fl_buffer_slice(&record->text);
    json_t *body = NULL;

    if (fl_profile_store_parse(record, &p, NULL) != FL_OK)
        return NULL;
    body = json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:o, s:o, s:o, s:s, s:o, s:o, s:o}",
                     "name", p.name, "title", p.title, "vendor", p.vendor, "model", p.model,
                     "version", (json_int_t)p.version, "state", "signed", "key_id", p.key_id,
                     "publish", strings_of(p.publish, p.publish_count), "subscribe",
                     strings_of(p.subscribe, p.subscribe_count), "streams", streams_of(&p), "tls",
                     p.allows_tls12 ? "1.2" : "1.3", "support_until",
                     p.support_until == FL_TIME_NEVER ? json_null() : fl_api_time(p.support_until),
                     "require", require_of(&p), "when", whens_of(&p));
    if (body && with_text)
        (void)json_object_set_new(body, "text", json_stringn((const char *)text.data, text.size));
    fl_profile_free(&p);
    return body;
}

static bool list_profile(void *to, const struct fl_profile_record *record)
{
    json_t *row = profile_of(record, false);

    return !row || fl_api_list_add(to, row);
}

void fl_api_list_profiles(struct fl_api_call *call)
{
    struct fl_api_list list;
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    fl_api_list_init(&list, FL_LIMIT_PROFILES);
    error = fl_profile_store_each(&call->hub->store, list_profile, &list, &ctx);
    fl_api_list_answer(call, &list, error, &ctx);
}

/* `push`: the front is told too. */
static void answer_profile(struct fl_api_call *call, struct fl_slice name, int status, bool push)
{
    struct fl_profile_record record = {0};
    struct fl_context ctx = {0};
    json_t *body = NULL;
    enum fl_error error = fl_profile_store_get(&call->hub->store, name, &record, &ctx);

    if (error == FL_OK) {
        body = profile_of(&record, true);
        if (push)
            fl_hub_push_profile(call->hub, &record);
    }
    fl_profile_record_free(&record);
    if (error != FL_OK)
        fl_api_fail(call, error, &ctx);
    else if (body)
        fl_api_answer(call->hub, call->caller, status, body);
    else
        fl_api_problem(call->hub, call->caller, FL_EIO, "the stored profile cannot be read");
}

void fl_api_get_profile(struct fl_api_call *call)
{
    answer_profile(call, call->segment, 200, false);
}

void fl_api_add_profile(struct fl_api_call *call)
{
    struct fl_hub *hub = call->hub;
    struct fl_change change = {.who = call->who, .reason = "", .now = call->now};
    struct fl_slice text = fl_slice_str(fl_api_str(call->body, "text", ""));
    char name[FL_NAME_MAX + 1];
    bool added = false;
    struct fl_context ctx = {0};
    enum fl_error error = fl_store_begin(&hub->store, &ctx);

    if (error == FL_OK) {
        error = fl_profile_store_add(&hub->store, hub->profile_keys, text, "profile", &change,
                                     &added, name, &ctx);
        error = fl_store_end(&hub->store, error, &ctx);
    }
    if (error == FL_EAUTH) /* of the profile's signer, not of the caller */
        fl_api_problem_status(hub, call->caller, 422, ctx.text);
    else if (error != FL_OK)
        fl_api_fail(call, error, &ctx);
    else
        answer_profile(call, fl_slice_str(name), added ? 201 : 200, added);
}
