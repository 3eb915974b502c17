/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/profile.h"

#include "base/base64.h"
#include "codec/profile_rate.h"
#include "codec/profile_require.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define VERSION_MAX 9007199254740991U /* 2^53 - 1: what every JSON reader keeps exact */
#define DEVICE "{device}"
#define LIFE_MIN_MS 3600000LL
#define LIFE_MAX_MS (30LL * 24 * LIFE_MIN_MS)
#define LIFE_DEFAULT_S (7U * 24 * 3600)
#define KEY_ID_SIZE 16
#define KEEP_MIN_MS 60000LL
#define KEEP_USAGE "keep DURATION, for example keep 90d, or keep forever"
#define SIGNATURE_TEXT_SIZE 86 /* 64 octets in base64url */

static const struct fl_conf_rule top_rules[] = {
    {.name = "profile",
     .words_min = 1,
     .words_max = 1,
     .block = FL_CONF_BLOCK,
     .required = true,
     .usage = "profile NAME {"},
    {.name = "signature", .words_min = 3, .words_max = 3, .usage = "signature ES256 KEYID BASE64"},
    {0},
};

static const struct fl_conf_rule profile_rules[] = {
    {.name = "title", .words_min = 1, .words_max = 1, .usage = "title \"TEXT\""},
    {.name = "vendor", .words_min = 1, .words_max = 1, .usage = "vendor \"TEXT\""},
    {.name = "model", .words_min = 1, .words_max = 1, .usage = "model TEXT"},
    {.name = "version",
     .words_min = 1,
     .words_max = 1,
     .required = true,
     .usage = "version NUMBER"},
    {.name = "publish",
     .words_min = 1,
     .words_max = 3,
     .repeats = true,
     .usage = "publish FILTER, for example publish d/{device}/t/#"},
    {.name = "subscribe",
     .words_min = 1,
     .words_max = 3,
     .repeats = true,
     .usage = "subscribe FILTER, for example subscribe d/{device}/c/#"},
    {.name = "stream",
     .words_min = 1,
     .words_max = 1,
     .block = FL_CONF_BLOCK_OPTIONAL,
     .repeats = true,
     .usage = "stream NAME {"},
    {.name = "support-until", .words_min = 1, .words_max = 1, .usage = "support-until YYYY-MM-DD"},
    {.name = "certificate-life",
     .words_min = 1,
     .words_max = 1,
     .usage = "certificate-life DURATION, for example certificate-life 7d"},
    {.name = "tls", .words_min = 1, .words_max = 1, .usage = "tls 1.2, or tls 1.3"},
    {.name = "keep", .words_min = 1, .words_max = 1, .usage = KEEP_USAGE},
    {.name = "rate",
     .words_min = 2,
     .words_max = 4,
     .repeats = true,
     .usage = FL_PROFILE_RATE_USAGE},
    {.name = "require",
     .words_min = 3,
     .words_max = 3,
     .repeats = true,
     .usage = FL_PROFILE_REQUIRE_USAGE},
    {.name = "measure",
     .words_min = 1,
     .words_max = FL_LIMIT_PCRS,
     .usage = FL_PROFILE_MEASURE_USAGE},
    {0},
};

static const struct fl_conf_rule stream_rules[] = {
    {.name = "unit", .words_min = 1, .words_max = 1, .usage = "unit \"TEXT\""},
    {.name = "range", .words_min = 2, .words_max = 2, .usage = "range MIN MAX"},
    {.name = "keep", .words_min = 1, .words_max = 1, .usage = KEEP_USAGE},
    {0},
};

/* --- topics --- */

/* What is wrong with a topic filter (MQTT 5.0 section 4.7.1), or NULL. */
static const char *filter_problem(struct fl_slice filter)
{
    struct fl_slice level = {0};
    bool more = true;

    if (filter.size == 0)
        return "a topic filter has at least one character";
    /* Every topic that is published or delivered comes by here. */
    if (!memchr(filter.data, '#', filter.size) && !memchr(filter.data, '+', filter.size))
        return NULL;
    while (more) {
        bool whole = false;
        more = fl_slice_cut(&filter, '/', &level);
        whole = level.size == 1;
        if (level.size == 0)
            continue;
        if (memchr(level.data, '#', level.size) && (!whole || more))
            return "'#' stands alone in the last level, as in a/b/#";
        if (memchr(level.data, '+', level.size) && !whole)
            return "'+' stands alone in its level, as in a/+/b";
    }
    return NULL;
}

/* What a profile asks beyond that; `*levels` and `*size` are those of the longest expansion. */
static const char *level_problem(struct fl_slice level)
{
    bool brace =
        level.size && (memchr(level.data, '{', level.size) || memchr(level.data, '}', level.size));

    for (size_t i = 0; i < level.size; i++)
        if (level.data[i] < 0x20 || level.data[i] == 0x7F)
            return "a topic has no control characters";
    if (brace && !fl_slice_is(level, DEVICE))
        return "the only thing in braces is {device}, and it stands alone in its level, as in "
               "d/{device}/t/#";
    return NULL;
}

static bool begins_with_sys(struct fl_slice pattern)
{
    return pattern.size > 5 && memcmp(pattern.data, "$SYS/", 5) == 0;
}

static const char *pattern_problem(struct fl_slice pattern, bool subscribe)
{
    const char *problem = filter_problem(pattern);
    struct fl_slice rest = pattern;
    struct fl_slice level = {0};
    size_t size = pattern.size;
    size_t levels = 0;

    if (!problem && pattern.data[0] == '$' && !(subscribe && begins_with_sys(pattern)))
        problem = subscribe ? "of the topics that begin with '$' only $SYS/ can be subscribed to"
                            : "topics that begin with '$' belong to the hub";
    for (bool more = true; more && !problem; levels++) {
        more = fl_slice_cut(&rest, '/', &level);
        problem = level_problem(level);
        if (fl_slice_is(level, DEVICE))
            size += FL_NAME_MAX - strlen(DEVICE);
    }
    if (!problem && levels > FL_LIMIT_MQTT_TOPIC_LEVELS)
        problem = "a topic has at most 32 levels";
    if (!problem && size > FL_LIMIT_MQTT_TOPIC)
        problem = "a topic has at most 1024 bytes, a device's name counted as 64";
    return problem;
}

static bool begins_with_dollar(struct fl_slice topic)
{
    return topic.size > 0 && topic.data[0] == '$';
}

bool fl_topic_covered(const char *pattern, struct fl_slice device, struct fl_slice filter)
{
    struct fl_slice p = fl_slice_str(pattern);
    struct fl_slice f = filter;
    struct fl_slice mine = {0};
    struct fl_slice theirs = {0};
    bool p_more = true;
    bool f_more = true;

    if (!fl_name_valid(device) || filter_problem(filter))
        return false;
    for (bool first = true; p_more; first = false) {
        p_more = fl_slice_cut(&p, '/', &mine);
        /* '#' takes the rest, and the parent level too: a/# matches a. */
        if (fl_slice_is(mine, "#"))
            return !first || !begins_with_dollar(filter);
        if (!f_more)
            return false;
        f_more = fl_slice_cut(&f, '/', &theirs);
        /* '#' asks for this level, all below and the parent. Where there can be no parent (at the
         * top, and after an empty first level, as no topic is empty) it is the same as +/#. */
        if (fl_slice_is(theirs, "#"))
            return (first || fl_slice_is(filter, "/#")) && p_more && fl_slice_is(mine, "+") &&
                   fl_slice_is(p, "#");
        if (fl_slice_is(mine, "+")) {
            if (first && begins_with_dollar(filter))
                return false;
        } else if (!fl_slice_equal(theirs, fl_slice_is(mine, DEVICE) ? device : mine)) {
            return false;
        }
    }
    return !f_more;
}

struct filters {
    const char **patterns;
    const uint8_t *when;
    size_t count;
};

static struct filters filters_of(const struct fl_profile *profile, enum fl_profile_right right,
                                 struct fl_slice topic)
{
    struct filters publish = {profile->publish, profile->publish_when, profile->publish_count};
    struct filters subscribe = {profile->subscribe, profile->subscribe_when,
                                profile->subscribe_count};

    if (right != FL_RIGHT_PUBLISH)
        return subscribe;
    if (topic.size == 0 || memchr(topic.data, '#', topic.size) ||
        memchr(topic.data, '+', topic.size))
        publish.count = 0;
    return publish;
}

bool fl_profile_allows(const struct fl_profile *profile, enum fl_profile_right right,
                       struct fl_slice device, struct fl_slice topic, uint8_t grades)
{
    struct filters f = filters_of(profile, right, topic);

    for (size_t i = 0; i < f.count; i++)
        if (fl_grade_holds(grades, f.when[i]) && fl_topic_covered(f.patterns[i], device, topic))
            return true;
    return false;
}

enum fl_grade fl_profile_lacks(const struct fl_profile *profile, enum fl_profile_right right,
                               struct fl_slice device, struct fl_slice topic)
{
    struct filters f = filters_of(profile, right, topic);

    for (size_t i = 0; i < f.count; i++)
        if (f.when[i] != FL_GRADE_NONE && fl_topic_covered(f.patterns[i], device, topic))
            return f.when[i];
    return FL_GRADE_NONE;
}

const struct fl_profile_stream *fl_profile_stream(const struct fl_profile *profile,
                                                  struct fl_slice name)
{
    for (size_t i = 0; i < profile->stream_count; i++)
        if (fl_slice_is(name, profile->streams[i].name))
            return &profile->streams[i];
    return NULL;
}

fl_time_t fl_profile_keep(const struct fl_profile *profile, struct fl_slice stream)
{
    const struct fl_profile_stream *found = fl_profile_stream(profile, stream);

    return found ? found->keep_ms : profile->keep_ms;
}

/* --- statements --- */

struct reader {
    const struct fl_conf *conf;
    const struct fl_conf_node *block; /* of the profile */
    struct fl_profile *profile;
    struct fl_context *ctx;
};

static enum fl_error read_text(const struct reader *r, const struct fl_conf_node *node, char *to,
                               size_t size)
{
    struct fl_slice text = {0};

    if (!node)
        return FL_OK;
    text = node->words[1].text;
    if (text.size >= size)
        return fl_conf_fail(r->conf, node, 1, r->ctx, "%zu bytes are too long a text: at most %zu",
                            text.size, size - 1);
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] == 0x7F)
            return fl_conf_fail(r->conf, node, 1, r->ctx, "control characters do not belong here");
    (void)fl_str_copy_slice(to, size, text);
    return FL_OK;
}

static enum fl_error read_identity(const struct reader *r)
{
    struct fl_profile *profile = r->profile;
    const struct fl_conf_node *version = fl_conf_find(r->block, "version");
    enum fl_error error = fl_conf_name(r->conf, r->block, 1, profile->name, r->ctx);

    if (error == FL_OK)
        error = fl_conf_u64(r->conf, version, 1, 1, VERSION_MAX, &profile->version, r->ctx);
    if (error == FL_OK)
        error =
            read_text(r, fl_conf_find(r->block, "title"), profile->title, sizeof profile->title);
    if (error == FL_OK)
        error =
            read_text(r, fl_conf_find(r->block, "vendor"), profile->vendor, sizeof profile->vendor);
    if (error == FL_OK)
        error =
            read_text(r, fl_conf_find(r->block, "model"), profile->model, sizeof profile->model);
    return error;
}

/* `keep` is left as it is when the statement is absent. */
static enum fl_error read_keep(const struct reader *r, const struct fl_conf_node *node,
                               fl_time_t *keep)
{
    enum fl_error error = FL_OK;

    if (!node)
        return FL_OK;
    if (fl_slice_is(node->words[1].text, "forever")) {
        *keep = FL_TIME_NEVER;
        return FL_OK;
    }
    error = fl_conf_duration(r->conf, node, 1, keep, r->ctx);
    if (error == FL_OK && *keep < KEEP_MIN_MS)
        error = fl_conf_fail(r->conf, node, 1, r->ctx, "readings are kept for a minute at least");
    return error;
}

static enum fl_error read_periods(const struct reader *r)
{
    const struct fl_conf_node *until = fl_conf_find(r->block, "support-until");
    const struct fl_conf_node *life = fl_conf_find(r->block, "certificate-life");
    fl_time_t life_ms = 0;
    enum fl_error error = FL_OK;

    r->profile->support_until = FL_TIME_NEVER;
    r->profile->certificate_life_s = LIFE_DEFAULT_S;
    r->profile->keep_ms = FL_TIME_NEVER;
    error = read_keep(r, fl_conf_find(r->block, "keep"), &r->profile->keep_ms);
    if (error == FL_OK && until)
        error = fl_conf_date(r->conf, until, 1, &r->profile->support_until, r->ctx);
    if (error != FL_OK || !life)
        return error;
    error = fl_conf_duration(r->conf, life, 1, &life_ms, r->ctx);
    if (error != FL_OK)
        return error;
    if (life_ms < LIFE_MIN_MS || life_ms > LIFE_MAX_MS || life_ms % 1000 != 0)
        return fl_conf_fail(r->conf, life, 1, r->ctx,
                            "a certificate lives from 1h to 30d, in whole seconds");
    r->profile->certificate_life_s = (uint32_t)(life_ms / 1000);
    return FL_OK;
}

static enum fl_error read_tls(const struct reader *r)
{
    const struct fl_conf_node *tls = fl_conf_find(r->block, "tls");

    r->profile->allows_tls12 = tls && fl_slice_is(tls->words[1].text, "1.2");
    if (!tls || r->profile->allows_tls12 || fl_slice_is(tls->words[1].text, "1.3"))
        return FL_OK;
    return fl_conf_fail(r->conf, tls, 1, r->ctx,
                        "the oldest TLS a device may use is 1.3 or, for those that cannot, 1.2");
}

static enum fl_error read_stream(const struct reader *r, const struct fl_conf_node *node,
                                 struct fl_profile_stream *stream)
{
    const struct fl_conf_node *range = NULL;
    enum fl_error error = fl_conf_name(r->conf, node, 1, stream->name, r->ctx);

    stream->min = -HUGE_VAL;
    stream->max = HUGE_VAL;
    stream->keep_ms = r->profile->keep_ms;
    if (error == FL_OK)
        error = fl_conf_check(r->conf, node, stream_rules, r->ctx);
    if (error == FL_OK)
        error = read_text(r, fl_conf_find(node, "unit"), stream->unit, sizeof stream->unit);
    if (error == FL_OK)
        error = read_keep(r, fl_conf_find(node, "keep"), &stream->keep_ms);
    range = fl_conf_find(node, "range");
    if (error != FL_OK || !range)
        return error;
    error = fl_conf_double(r->conf, range, 1, &stream->min, r->ctx);
    if (error == FL_OK)
        error = fl_conf_double(r->conf, range, 2, &stream->max, r->ctx);
    if (error == FL_OK && stream->min > stream->max)
        error = fl_conf_fail(r->conf, range, 1, r->ctx,
                             "the range is upside down: write the smaller number first");
    return error;
}

/* The statement of the same name and first word before `node`, or NULL. */
static const struct fl_conf_node *same_before(const struct reader *r,
                                              const struct fl_conf_node *node, const char *name)
{
    const struct fl_conf_node *other = fl_conf_find(r->block, name);

    while (other != node && !fl_slice_equal(other->words[1].text, node->words[1].text))
        other = fl_conf_next(other);
    return other == node ? NULL : other;
}

static enum fl_error read_streams(const struct reader *r)
{
    struct fl_profile *profile = r->profile;

    for (const struct fl_conf_node *node = fl_conf_find(r->block, "stream"); node;
         node = fl_conf_next(node)) {
        const struct fl_conf_node *other = same_before(r, node, "stream");
        struct fl_profile_stream *stream = &profile->streams[profile->stream_count];
        enum fl_error error = FL_OK;

        if (other)
            return fl_conf_fail(r->conf, node, 1, r->ctx,
                                "this stream a second time: it is in line %u already", other->line);
        error = read_stream(r, node, stream);
        if (error != FL_OK)
            return error;
        profile->stream_count++;
    }
    return FL_OK;
}

static enum fl_error read_filters(const struct reader *r, const char *name, const char **filters,
                                  uint8_t *when, size_t *count, char **strings)
{
    for (const struct fl_conf_node *node = fl_conf_find(r->block, name); node;
         node = fl_conf_next(node)) {
        struct fl_slice text = node->words[1].text;
        const struct fl_conf_node *other = same_before(r, node, name);
        const char *problem = pattern_problem(text, strcmp(name, "subscribe") == 0);
        enum fl_error error = FL_OK;

        if (problem)
            return fl_conf_fail(r->conf, node, 1, r->ctx, "%s", problem);
        if (other)
            return fl_conf_fail(r->conf, node, 1, r->ctx,
                                "this filter a second time: it is in line %u already", other->line);
        error = fl_profile_when(r->conf, node, r->profile, &when[*count], r->ctx);
        if (error != FL_OK)
            return error;
        (void)fl_str_copy_slice(*strings, text.size + 1, text);
        filters[*count] = *strings;
        *strings += text.size + 1;
        *count += 1;
    }
    return FL_OK;
}

/* --- the whole --- */

static enum fl_error count_statements(const struct reader *r, const char *name, size_t max,
                                      size_t *count, size_t *text_size)
{
    *count = 0;
    for (const struct fl_conf_node *node = fl_conf_find(r->block, name); node;
         node = fl_conf_next(node)) {
        *count += 1;
        *text_size += node->words[1].text.size + 1;
        if (*count > max) {
            (void)fl_conf_fail(r->conf, node, 0, r->ctx, "more than %zu '%s' statements", max,
                               name);
            return FL_ELIMIT;
        }
    }
    return FL_OK;
}

/* Streams, then pointers, then characters: in falling order of alignment. */
static enum fl_error read_lists(const struct reader *r)
{
    struct fl_profile *profile = r->profile;
    size_t streams = 0;
    size_t publish = 0;
    size_t subscribe = 0;
    size_t text_size = 0;
    char *strings = NULL;
    enum fl_error error =
        count_statements(r, "stream", FL_LIMIT_PROFILE_STREAMS, &streams, &text_size);

    text_size = 0;
    if (error == FL_OK)
        error = count_statements(r, "publish", FL_LIMIT_PROFILE_TOPICS, &publish, &text_size);
    if (error == FL_OK)
        error = count_statements(r, "subscribe", FL_LIMIT_PROFILE_TOPICS, &subscribe, &text_size);
    if (error != FL_OK)
        return error;
    profile->memory =
        calloc(1, streams * sizeof *profile->streams +
                      (publish + subscribe) * (sizeof *profile->publish + 1) + text_size + 1);
    if (!profile->memory)
        return fl_fail(r->ctx, FL_ENOMEM, "%s: out of memory", r->conf->name);
    profile->streams = profile->memory;
    profile->publish = (const char **)(void *)(profile->streams + streams);
    profile->subscribe = profile->publish + publish;
    profile->publish_when = (uint8_t *)(void *)(profile->subscribe + subscribe);
    profile->subscribe_when = profile->publish_when + publish;
    strings = (char *)(void *)(profile->subscribe_when + subscribe);
    error = fl_profile_requirements(r->conf, r->block, profile, r->ctx);
    if (error == FL_OK)
        error = read_filters(r, "publish", profile->publish, profile->publish_when,
                             &profile->publish_count, &strings);
    if (error == FL_OK)
        error = read_filters(r, "subscribe", profile->subscribe, profile->subscribe_when,
                             &profile->subscribe_count, &strings);
    if (error == FL_OK)
        error = fl_profile_requirements_used(r->conf, r->block, profile, r->ctx);
    if (error == FL_OK)
        error = read_streams(r);
    return error;
}

static bool is_key_id(struct fl_slice text)
{
    uint8_t id[KEY_ID_SIZE / 2];
    size_t size = 0;

    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] >= 'A' && text.data[i] <= 'F')
            return false;
    return text.size == KEY_ID_SIZE && fl_unhex(id, sizeof id, text, &size) == FL_OK;
}

/* Exactly one text for one signature: what is decoded must encode to the same again. */
static bool decode_signature(struct fl_slice text, uint8_t signature[64])
{
    struct fl_buffer raw = FL_BUFFER(64);
    struct fl_buffer again = FL_BUFFER(SIGNATURE_TEXT_SIZE);
    bool good = text.size == SIGNATURE_TEXT_SIZE && fl_base64url_decode(text, &raw) == FL_OK &&
                raw.size == 64 && fl_base64url_encode(fl_buffer_slice(&raw), &again) == FL_OK &&
                fl_slice_equal(fl_buffer_slice(&again), text);

    if (good)
        memcpy(signature, fl_buffer_slice(&raw).data, 64);
    fl_buffer_free(&raw);
    fl_buffer_free(&again);
    return good;
}

static enum fl_error read_signature(const struct reader *r, const struct fl_conf_node *node,
                                    struct fl_slice text)
{
    struct fl_profile *profile = r->profile;
    struct fl_slice rest = text;
    struct fl_slice line = {0};
    char exact[160];

    if (!fl_slice_is(node->words[1].text, "ES256"))
        return fl_conf_fail(r->conf, node, 1, r->ctx, "the only kind of signature is ES256");
    if (!is_key_id(node->words[2].text))
        return fl_conf_fail(r->conf, node, 2, r->ctx,
                            "a key id is 16 digits of 0-9 a-f: sign the profile again");
    if (!decode_signature(node->words[3].text, profile->signature))
        return fl_conf_fail(r->conf, node, 3, r->ctx,
                            "a signature is 64 octets in base64url: sign the profile again");
    if (node->next)
        return fl_conf_fail(r->conf, node->next, 0, r->ctx,
                            "nothing may follow the signature: it covers only what is before it");
    /* The parser has seen as many line feeds before this statement. */
    for (uint32_t i = 1; i < node->line; i++)
        (void)fl_slice_cut(&rest, '\n', &line);
    profile->signed_text = fl_slice(text.data, text.size - rest.size);
    (void)snprintf(exact, sizeof exact, "signature ES256 %.*s %.*s",
                   FL_SLICE_ARGS(node->words[2].text), FL_SLICE_ARGS(node->words[3].text));
    (void)fl_slice_cut(&rest, '\n', &line);
    if (!fl_slice_is(line, exact) || rest.size != 0)
        return fl_conf_fail(r->conf, node, 0, r->ctx,
                            "the signature is the last line, with single blanks and nothing else "
                            "on it or after it");
    (void)fl_str_copy_slice(profile->key_id, sizeof profile->key_id, node->words[2].text);
    profile->is_signed = true;
    return FL_OK;
}

static enum fl_error read_profile(const struct fl_conf *conf, struct fl_slice text,
                                  struct fl_profile *profile, struct fl_context *ctx)
{
    const struct fl_conf_node *signature = fl_conf_find(conf->root, "signature");
    struct reader r = {.conf = conf, .profile = profile, .ctx = ctx};
    enum fl_error error = fl_conf_check(conf, conf->root, top_rules, ctx);

    if (error != FL_OK)
        return error;
    r.block = fl_conf_find(conf->root, "profile");
    error = fl_conf_check(conf, r.block, profile_rules, ctx);
    if (error == FL_OK)
        error = read_identity(&r);
    if (error == FL_OK)
        error = read_periods(&r);
    if (error == FL_OK)
        error = read_tls(&r);
    if (error == FL_OK)
        error = fl_profile_rates(conf, r.block, profile, ctx);
    if (error == FL_OK)
        error = read_lists(&r);
    if (error == FL_OK && signature)
        error = read_signature(&r, signature, text);
    return error;
}

enum fl_error fl_profile_parse(struct fl_slice text, const char *file, struct fl_profile *profile,
                               struct fl_context *ctx)
{
    struct fl_conf conf = {0};
    enum fl_error error = FL_OK;

    *profile = (struct fl_profile){0};
    if (text.size > FL_LIMIT_PROFILE_SIZE) {
        char safe[FL_CONF_SHOWN];
        return fl_fail(ctx, FL_ELIMIT, "%s: %zu bytes: a profile has at most %d",
                       fl_conf_shown(safe, fl_slice_str(file)), text.size, FL_LIMIT_PROFILE_SIZE);
    }
    error = fl_conf_parse(text, file, &conf, ctx);
    if (error == FL_OK)
        error = read_profile(&conf, text, profile, ctx);
    if (error != FL_OK)
        fl_profile_free(profile);
    fl_conf_free(&conf);
    return error;
}

void fl_profile_free(struct fl_profile *profile)
{
    if (!profile)
        return;
    free(profile->memory);
    *profile = (struct fl_profile){0};
}
