/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/profile.h"

#include "test/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SIGNATURE                                                                                  \
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0-Pw"
#define KEY_ID "00112233445566ff"
#define SIGNED "profile x {\n version 1\n}\n"

static struct fl_context context;

static enum fl_error parse(const char *text, struct fl_profile *profile)
{
    context.text[0] = 0;
    return fl_profile_parse(fl_slice_str(text), "x.profile", profile, &context);
}

static void refused_as(enum fl_error error, const char *text, const char *message)
{
    struct fl_profile profile = {0};

    if (parse(text, &profile) != error)
        fail_msg("not refused, or not so: '%s': '%s'", text, context.text);
    assert_null(profile.memory);
    assert_false(profile.is_signed);
    assert_contains(context.text, message);
}

/* A profile with these lines after its version. */
static void refused(const char *lines, const char *message)
{
    char text[32768];

    (void)snprintf(text, sizeof text, "profile x {\nversion 1\n%s\n}\n", lines);
    refused_as(FL_EPARSE, text, message);
}

static void a_whole_profile_is_read(void **state)
{
    struct fl_profile profile = {0};
    const struct fl_profile_stream *stream = NULL;
    (void)state;

    assert_ok(parse("profile camera {\n title \"Indoor camera\"\n vendor \"Example Ltd\"\n"
                    " model CAM-1\n version 3\n publish d/{device}/t/#\n publish alarm/{device}\n"
                    " subscribe d/{device}/c/#\n stream temperature {\n  unit \"\xC2\xB0\x43\"\n"
                    "  range -40 85\n }\n stream motion\n support-until 2031-12-31\n"
                    " certificate-life 30d\n}\n",
                    &profile));
    assert_string_equal(profile.name, "camera");
    assert_string_equal(profile.title, "Indoor camera");
    assert_string_equal(profile.vendor, "Example Ltd");
    assert_string_equal(profile.model, "CAM-1");
    assert_int_equal(profile.version, 3);
    assert_int_equal(profile.publish_count, 2);
    assert_string_equal(profile.publish[0], "d/{device}/t/#");
    assert_string_equal(profile.publish[1], "alarm/{device}");
    assert_int_equal(profile.subscribe_count, 1);
    assert_string_equal(profile.subscribe[0], "d/{device}/c/#");
    assert_int_equal(profile.stream_count, 2);
    stream = fl_profile_stream(&profile, fl_slice_str("temperature"));
    assert_string_equal(stream->unit, "\xC2\xB0\x43");
    assert_true(stream->min == -40 && stream->max == 85);
    stream = fl_profile_stream(&profile, fl_slice_str("motion"));
    assert_true(stream->min == -HUGE_VAL && stream->max == HUGE_VAL);
    assert_null(fl_profile_stream(&profile, fl_slice_str("smell")));
    assert_int_equal(profile.support_until, 1956441600000);
    assert_int_equal(profile.certificate_life_s, 30 * 24 * 3600);
    assert_false(profile.is_signed);
    fl_profile_free(&profile);
    fl_profile_free(&profile);
    fl_profile_free(NULL);
}

static void what_a_profile_leaves_out_has_a_default(void **state)
{
    struct fl_profile profile = {0};
    (void)state;

    assert_ok(parse("profile x {\n version 1\n}\n", &profile));
    assert_string_equal(profile.title, "");
    assert_int_equal(profile.publish_count + profile.subscribe_count + profile.stream_count, 0);
    assert_true(profile.support_until == FL_TIME_NEVER);
    assert_int_equal(profile.certificate_life_s, 7 * 24 * 3600);
    fl_profile_free(&profile);
}

static void every_mistake_has_its_place_and_a_hint(void **state)
{
    (void)state;
    refused_as(FL_EPARSE, "", "x.profile:1:1: the statement 'profile' is missing");
    refused_as(FL_EPARSE, "profile x\n", "x.profile:1:9: 'profile' needs a block");
    refused_as(FL_EPARSE, "profile x/y {\nversion 1\n}\n", "x.profile:1:9: 'x/y' is not a name");
    refused_as(FL_EPARSE, "profile x {\n}\n", "x.profile:1:1: the statement 'version' is missing");
    refused_as(FL_EPARSE, "profile x {\nversion 0\n}\n", "x.profile:2:9: 0 is out of range: 1 to");
    refused_as(FL_EPARSE, "profile x {\nversion 9007199254740992\n}\n", "is out of range");
    refused_as(FL_EPARSE, "profile x {\nversion 1\n}\nprofile y {\nversion 1\n}\n",
               "x.profile:4:1: 'profile' a second time");
    refused_as(FL_EPARSE, "profil x {\n}\n", "did you mean 'profile'?");
    refused("topik a", "x.profile:3:1: unknown statement 'topik'");
    refused("publsh a", "x.profile:3:1: unknown statement 'publsh' (did you mean 'publish'?)");
    refused("publish #", "(a word that begins with '#' must be in quotes)");
    refused("title \"a\\nb\"", "x.profile:3:7: control characters do not belong here");
    refused("title \"a\\u{7f}b\"", "control characters do not belong here");
    refused("support-until 2031", "x.profile:3:15: '2031' is not a date such as 2031-12-31");
    refused("tls 1.1", "x.profile:3:5: the oldest TLS a device may use is 1.3 or");
    refused("tls 1.20", "the oldest TLS a device may use is 1.3 or");
    refused("tls", "tls 1.2, or tls 1.3");
    refused("tls 1.2 1.3", "tls 1.2, or tls 1.3");
    refused("tls 1.2\n    tls 1.2", "'tls'");
    refused("certificate-life 59m", "x.profile:3:18: a certificate lives from 1h to 30d");
    refused("certificate-life 31d", "a certificate lives from 1h to 30d");
    refused("certificate-life 1h1ms", "a certificate lives from 1h to 30d, in whole seconds");
    refused("certificate-life x", "'x' is not a duration");
    refused("keep 59s", "x.profile:3:6: readings are kept for a minute at least");
    refused("keep long", "'long' is not a duration");
    refused("stream a {\n keep 1ms\n}", "readings are kept for a minute at least");
    refused("stream a b", "'stream' needs 1 word");
    refused("stream a/b", "x.profile:3:8: 'a/b' is not a name");
    refused("stream a\nstream b\nstream a",
            "x.profile:5:8: this stream a second time: it is in line 3 already");
    refused("stream a {\n units C\n}", "x.profile:4:2: unknown statement 'units' (did you mean");
    refused("stream a {\n range 1\n}", "write: range MIN MAX");
    refused("stream a {\n range 2 1\n}", "x.profile:4:8: the range is upside down");
    refused("stream a {\n range x 1\n}", "x.profile:4:8: 'x' is not a number");
    refused("stream a {\n range 1 x\n}", "x.profile:4:10: 'x' is not a number");
    refused("stream a {\n unit \"\\t\"\n}", "x.profile:4:7: control characters");
}

static void texts_have_a_size(void **state)
{
    struct fl_profile profile = {0};
    char text[256];
    char lines[256];
    (void)state;

    memset(text, 'a', sizeof text);
    (void)snprintf(lines, sizeof lines, "profile x {\nversion 1\ntitle %.127s\n}\n", text);
    assert_ok(parse(lines, &profile));
    assert_int_equal(strlen(profile.title), 127);
    fl_profile_free(&profile);
    (void)snprintf(lines, sizeof lines, "title %.128s", text);
    refused(lines, "x.profile:3:7: 128 bytes are too long a text: at most 127");
    (void)snprintf(lines, sizeof lines, "vendor %.128s", text);
    refused(lines, "at most 127");
    (void)snprintf(lines, sizeof lines, "model %.128s", text);
    refused(lines, "at most 127");
    (void)snprintf(lines, sizeof lines, "stream s {\nunit %.32s\n}", text);
    refused(lines, "x.profile:4:6: 32 bytes are too long a text: at most 31");
}

static void only_valid_filters_are_accepted(void **state)
{
    static const char *const good[] = {"a",        "a/b",   "\"#\"",
                                       "+",        "a/+/b", "a/#",
                                       "+/#",      "/a",    "a//b",
                                       "{device}", "a/",    "d/{device}/t/#",
                                       "/",        "a/+/+", "{device}/{device}",
                                       "a b"};
    char lines[8192];
    (void)state;

    for (size_t i = 0; i < sizeof good / sizeof good[0] - 1; i++) {
        struct fl_profile profile = {0};
        (void)snprintf(lines, sizeof lines, "profile x {\nversion 1\npublish %s\n}\n", good[i]);
        if (parse(lines, &profile) != FL_OK)
            fail_msg("%s", context.text);
        fl_profile_free(&profile);
    }
    refused("publish \"\"", "x.profile:3:9: a topic filter has at least one character");
    refused("publish a#", "'#' stands alone in the last level");
    refused("publish a/#/b", "'#' stands alone in the last level");
    refused("subscribe a/b+", "x.profile:3:11: '+' stands alone in its level");
    refused("subscribe +a/b", "'+' stands alone in its level");
    refused("publish d/x{device}/t", "the only thing in braces is {device}");
    refused("publish d/{site}/t", "the only thing in braces is {device}");
    refused("publish \"d/}\"", "the only thing in braces is {device}");
    refused("publish $SYS/a", "topics that begin with '$' belong to the hub");
    refused("publish $share/g/a", "topics that begin with '$' belong to the hub");
    refused("publish \"a\\tb\"", "a topic has no control characters");
    refused("publish a\nsubscribe a\npublish a",
            "x.profile:5:9: this filter a second time: it is in line 3 already");
}

static char *filter_of(const char *head, const char *part, size_t count, const char *tail)
{
    static char to[4096];
    size_t used = 0;

    used += (size_t)snprintf(to + used, sizeof to - used, "%s", head);
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(to + used, sizeof to - used, "%s", part);
    (void)snprintf(to + used, sizeof to - used, "%s", tail);
    return to;
}

static void every_limit_is_reached_and_not_passed(void **state)
{
    struct fl_profile profile = {0};
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_PROFILE_SIZE + 2);
    (void)state;

    assert_ok(parse(filter_of("profile x {\nversion 1\npublish ", "a/", 31, "a\n}\n"), &profile));
    fl_profile_free(&profile);
    refused(filter_of("publish ", "a/", 32, "a"), "a topic has at most 32 levels");
    assert_ok(parse(filter_of("profile x {\nversion 1\npublish {device}/", "a", 1024 - 65, "\n}\n"),
                    &profile));
    fl_profile_free(&profile);
    refused(filter_of("publish {device}/", "a", 1024 - 64, ""), "a topic has at most 1024 bytes");

    assert_ok(fl_buffer_append_str(&text, "profile x {\nversion 1\n"));
    for (int i = 0; i < FL_LIMIT_PROFILE_TOPICS; i++)
        assert_ok(fl_buffer_printf(&text, "publish p%d\nsubscribe s%d\n", i, i));
    for (int i = 0; i < FL_LIMIT_PROFILE_STREAMS; i++)
        assert_ok(fl_buffer_printf(&text, "stream s%d\n", i));
    assert_ok(fl_buffer_append_str(&text, "}\n"));
    assert_ok(parse(fl_buffer_str(&text), &profile));
    assert_int_equal(profile.publish_count, FL_LIMIT_PROFILE_TOPICS);
    assert_int_equal(profile.subscribe_count, FL_LIMIT_PROFILE_TOPICS);
    assert_int_equal(profile.stream_count, FL_LIMIT_PROFILE_STREAMS);
    fl_profile_free(&profile);

    text.size -= 2;
    assert_ok(fl_buffer_append_str(&text, "stream over\n}\n"));
    refused_as(FL_ELIMIT, fl_buffer_str(&text), "x.profile:387:1: more than 256 'stream'");
    text.size -= strlen("stream over\n}\n");
    assert_ok(fl_buffer_append_str(&text, "publish over\n}\n"));
    refused_as(FL_ELIMIT, fl_buffer_str(&text), "more than 64 'publish'");
    text.size -= strlen("publish over\n}\n");
    assert_ok(fl_buffer_append_str(&text, "subscribe over\n}\n"));
    refused_as(FL_ELIMIT, fl_buffer_str(&text), "more than 64 'subscribe'");

    fl_buffer_clear(&text);
    assert_ok(fl_buffer_append_str(&text, SIGNED));
    while (text.size < FL_LIMIT_PROFILE_SIZE)
        assert_ok(fl_buffer_append_byte(&text, '\n'));
    assert_ok(parse(fl_buffer_str(&text), &profile));
    fl_profile_free(&profile);
    assert_ok(fl_buffer_append_byte(&text, '\n'));
    refused_as(FL_ELIMIT, fl_buffer_str(&text), "x.profile: 65537 bytes: a profile has at most");
    fl_buffer_free(&text);
}

static void a_signature_covers_every_byte_before_it(void **state)
{
    struct fl_profile profile = {0};
    static const char text[] = "# first\r\n" SIGNED "\n# last\n"
                               "signature ES256 " KEY_ID " " SIGNATURE "\n";
    (void)state;

    assert_ok(parse(text, &profile));
    assert_true(profile.is_signed);
    assert_slice_equal(profile.signed_text, "# first\r\n" SIGNED "\n# last\n");
    assert_ptr_equal(profile.signed_text.data, text);
    assert_string_equal(profile.key_id, KEY_ID);
    for (int i = 0; i < 64; i++)
        assert_int_equal(profile.signature[i], i);
    fl_profile_free(&profile);
    assert_ok(parse(SIGNED "signature ES256 " KEY_ID " " SIGNATURE, &profile));
    assert_true(profile.is_signed);
    fl_profile_free(&profile);
}

static void a_signature_has_one_form_and_one_place(void **state)
{
    (void)state;
    refused_as(FL_EPARSE, SIGNED "signature RS256 " KEY_ID " " SIGNATURE "\n",
               "x.profile:4:11: the only kind of signature is ES256");
    refused_as(FL_EPARSE, SIGNED "signature ES256 00112233445566FF " SIGNATURE "\n",
               "x.profile:4:17: a key id is 16 digits");
    refused_as(FL_EPARSE, SIGNED "signature ES256 00112233445566 " SIGNATURE "\n",
               "a key id is 16 digits");
    refused_as(FL_EPARSE, SIGNED "signature ES256 0011223344556g77 " SIGNATURE "\n",
               "a key id is 16 digits");
    refused_as(FL_EPARSE, SIGNED "signature ES256 " KEY_ID " AAAA\n",
               "x.profile:4:34: a signature is 64 octets in base64url");
    refused_as(FL_EPARSE, SIGNED "signature ES256 " KEY_ID " " SIGNATURE "A\n",
               "a signature is 64 octets");
    /* The last character has four bits that say nothing: they must be zero. */
    refused_as(FL_EPARSE,
               SIGNED "signature ES256 " KEY_ID
                      " AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Nj"
                      "c4OTo7PD0-Px\n",
               "a signature is 64 octets");
    refused_as(FL_EPARSE, "signature ES256 " KEY_ID " " SIGNATURE "\n" SIGNED,
               "x.profile:2:1: nothing may follow the signature");
    refused_as(FL_EPARSE, SIGNED "signature ES256 " KEY_ID " " SIGNATURE "\n\n",
               "x.profile:4:1: the signature is the last line");
    refused_as(FL_EPARSE, SIGNED "signature ES256 " KEY_ID " " SIGNATURE "\n# more\n",
               "the signature is the last line");
    refused_as(FL_EPARSE, SIGNED "signature ES256 " KEY_ID " " SIGNATURE " # more\n",
               "the signature is the last line");
    refused_as(FL_EPARSE, SIGNED "signature ES256  " KEY_ID " " SIGNATURE "\n",
               "the signature is the last line");
    refused_as(FL_EPARSE, SIGNED " signature ES256 " KEY_ID " " SIGNATURE "\n",
               "the signature is the last line");
    refused_as(FL_EPARSE, SIGNED "signature ES256 " KEY_ID " " SIGNATURE "\r\n",
               "the signature is the last line");
    refused_as(FL_EPARSE, SIGNED "signature \"ES256\" " KEY_ID " " SIGNATURE "\n",
               "the signature is the last line");
    refused_as(FL_EPARSE,
               SIGNED "signature ES256 " KEY_ID " " SIGNATURE "\nsignature ES256 " KEY_ID
                      " " SIGNATURE "\n",
               "'signature' a second time");
}

/* --- rights --- */

static bool covered(const char *pattern, const char *filter)
{
    return fl_topic_covered(pattern, fl_slice_str("cam-01"), fl_slice_str(filter));
}

static void a_filter_is_covered_only_if_all_its_topics_are(void **state)
{
    (void)state;
    assert_true(covered("d/{device}/c/#", "d/cam-01/c/#"));
    assert_true(covered("d/{device}/c/#", "d/cam-01/c"));
    assert_true(covered("d/{device}/c/#", "d/cam-01/c/+/x"));
    assert_false(covered("d/{device}/c/#", "d/cam-02/c/#"));
    assert_false(covered("d/{device}/c/#", "d/+/c/#"));
    assert_false(covered("d/{device}/c/#", "d/cam-01/#"));
    assert_false(covered("d/{device}/c/#", "#"));
    assert_false(covered("d/{device}/c/#", "d/{device}/c/x"));
    assert_false(covered("a/+", "a/#"));
    assert_true(covered("#", "+/#"));
    assert_true(covered("+/#", "#"));
    assert_false(covered("a/+/#", "a/#"));
    assert_false(covered("#", "$SYS/a"));
    assert_false(covered("+/a", "$SYS/a"));
    assert_true(covered("$SYS/#", "$SYS/+"));
    assert_false(covered("#", ""));
    assert_false(covered("#", "a/#/b"));
    assert_false(covered("#", "a+"));
    assert_false(fl_topic_covered("d/{device}/#", fl_slice_str("+"), fl_slice_str("d/+/#")));
    assert_false(fl_topic_covered("d/{device}/#", fl_slice_str("a/b"), fl_slice_str("d/a/b/x")));
    assert_false(fl_topic_covered("d/#", fl_slice_str(""), fl_slice_str("d/a")));
}

/* The deliberately naive judge: does this filter match this topic? One level after the other, as
 * the standard's prose says it. */
static bool matches(const char *filter, const char *topic, bool first)
{
    size_t f = strcspn(filter, "/");
    size_t t = strcspn(topic, "/");
    bool wild = f == 1 && (filter[0] == '#' || filter[0] == '+');

    if (first && wild && topic[0] == '$')
        return false;
    if (wild && filter[0] == '#')
        return true;
    if (!wild && (f != t || strncmp(filter, topic, f) != 0))
        return false;
    if (filter[f] == 0 && topic[t] == 0)
        return true;
    if (topic[t] == 0) /* "sport/#" matches "sport" */
        return strcmp(filter + f, "/#") == 0;
    return filter[f] != 0 && matches(filter + f + 1, topic + t + 1, false);
}

#define TEXT_MAX 64
#define TOPICS_MAX 1024
#define FILTERS_MAX 256

/* All sequences of up to `depth` of these levels. */
static size_t sequences(const char *const *levels, size_t level_count, size_t depth,
                        char (*to)[TEXT_MAX], size_t max)
{
    size_t count = 0;
    size_t from = 0;

    for (size_t i = 0; i < level_count; i++)
        (void)snprintf(to[count++], TEXT_MAX, "%s", levels[i]);
    for (size_t d = 1; d < depth; d++) {
        size_t until = count;
        for (; from < until; from++) {
            size_t size = strlen(to[from]);
            if (size > 0 && to[from][size - 1] == '#')
                continue;
            for (size_t i = 0; i < level_count; i++) {
                assert_true(count < max);
                memcpy(to[count], to[from], size);
                (void)snprintf(to[count++] + size, TEXT_MAX - size, "/%s", levels[i]);
            }
        }
    }
    return count;
}

/* Every pattern and filter of up to three levels, judged against every topic of up to four: "z" is
 * in no filter, so it stands for all the names that nobody mentioned. */
static void coverage_agrees_with_the_naive_judge_on_every_topic(void **state)
{
    static const char *const topic_levels[] = {"a", "dev", "", "$s", "z"};
    static const char *const filter_levels[] = {"a", "dev", "", "$s", "+", "#"};
    static char topics[TOPICS_MAX][TEXT_MAX];
    static char filters[FILTERS_MAX][TEXT_MAX];
    static bool match[FILTERS_MAX][TOPICS_MAX];
    size_t topic_count = sequences(topic_levels, 5, 4, topics, TOPICS_MAX);
    size_t filter_count = sequences(filter_levels, 6, 3, filters, FILTERS_MAX);
    size_t yes = 0;
    (void)state;

    for (size_t f = 0; f < filter_count; f++)
        for (size_t t = 0; t < topic_count; t++)
            match[f][t] = topics[t][0] && matches(filters[f], topics[t], true);
    for (size_t p = 0; p < filter_count; p++) {
        for (size_t f = 0; f < filter_count; f++) {
            bool expected = filters[f][0] != 0;
            for (size_t t = 0; t < topic_count && expected; t++)
                expected = !match[f][t] || match[p][t];
            if (fl_topic_covered(filters[p], fl_slice_str("dev"), fl_slice_str(filters[f])) !=
                expected)
                fail_msg("'%s' covers '%s': expected %d", filters[p], filters[f], expected);
            yes += expected;
        }
    }
    print_message("%zu pairs of filters, %zu topics, %zu covered\n", filter_count * filter_count,
                  topic_count, yes);
}

/* {device} is the device's name in its place and nothing else: the same as writing it. */
static void the_placeholder_is_the_name_itself(void **state)
{
    static const char *const levels[] = {"a", "{device}", "+", "#"};
    static const char *const filter_levels[] = {"a", "dev", "+", "#"};
    static char patterns[FILTERS_MAX][TEXT_MAX];
    static char filters[FILTERS_MAX][TEXT_MAX];
    size_t count = sequences(levels, 4, 3, patterns, FILTERS_MAX);
    struct fl_slice dev = fl_slice_str("dev");
    (void)state;

    assert_int_equal(sequences(filter_levels, 4, 3, filters, FILTERS_MAX), count);
    for (size_t p = 0; p < count; p++)
        for (size_t f = 0; f < count; f++)
            assert_int_equal(fl_topic_covered(patterns[p], dev, fl_slice_str(filters[f])),
                             fl_topic_covered(filters[p], dev, fl_slice_str(filters[f])));
}

static bool allows(const struct fl_profile *profile, enum fl_profile_right right, const char *topic)
{
    return fl_profile_allows(profile, right, fl_slice_str("cam-01"), fl_slice_str(topic), 0);
}

static void rights_that_need_evidence_are_there_while_it_is(void **state)
{
    struct fl_profile p = {0};
    struct fl_slice id = fl_slice_str("cam-01");
    struct fl_slice video = fl_slice_str("d/cam-01/video/1");
    const uint8_t reported = FL_GRADE_BIT(FL_GRADE_REPORTED);
    const uint8_t attested = FL_GRADE_BIT(FL_GRADE_ATTESTED);
    (void)state;

    assert_ok(parse("profile x {\nversion 1\npublish d/{device}/t/#\n"
                    "publish d/{device}/video/# when attested\n"
                    "subscribe d/{device}/c/#\nsubscribe d/{device}/live/# when reported\n"
                    "require attested within 24h\nrequire reported within 5s\n"
                    "measure 9 14\n}\n",
                    &p));
    assert_true(p.within_ms[FL_GRADE_ATTESTED] == 24 * 3600000);
    assert_true(p.within_ms[FL_GRADE_REPORTED] == 5000);
    assert_int_equal(p.pcrs, 0xFF | 1 << 9 | 1 << 14);
    assert_false(fl_profile_allows(&p, FL_RIGHT_PUBLISH, id, video, 0));
    assert_false(fl_profile_allows(&p, FL_RIGHT_PUBLISH, id, video, reported));
    assert_true(fl_profile_allows(&p, FL_RIGHT_PUBLISH, id, video, attested));
    assert_true(fl_profile_allows(&p, FL_RIGHT_PUBLISH, id, fl_slice_str("d/cam-01/t/x"), 0));
    assert_false(
        fl_profile_allows(&p, FL_RIGHT_SUBSCRIBE, id, fl_slice_str("d/cam-01/live/#"), attested));
    assert_true(
        fl_profile_allows(&p, FL_RIGHT_SUBSCRIBE, id, fl_slice_str("d/cam-01/live/#"), reported));
    assert_int_equal(fl_profile_lacks(&p, FL_RIGHT_PUBLISH, id, video), FL_GRADE_ATTESTED);
    assert_int_equal(fl_profile_lacks(&p, FL_RIGHT_PUBLISH, id, fl_slice_str("x")), FL_GRADE_NONE);
    fl_profile_free(&p);
}

static void mistakes_about_evidence_are_told(void **state)
{
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {"publish a when attested\n", "3:16: how old may that evidence be? Add: require attested"},
        {"publish a when proven\nrequire attested within 1h\n", "'when attested' or 'when rep"},
        {"publish a if attested\nrequire attested within 1h\n", "after the filter may stand"},
        {"publish a when\n", "after the filter may stand"},
        {"require attested within 1h\n", "3:1: this changes nothing: write 'when attested'"},
        {"require proven within 1h\n", "'attested' or 'reported'"},
        {"require attested in 1h\n", "write: require attested within 24h"},
        {"require attested within 4s\n", "good for 5s to 30d"},
        {"require attested within 31d\n", "good for 5s to 30d"},
        {"require attested within 1h\nrequire attested within 2h\n", "is required already"},
        {"measure 8\n", "nothing is measured without"},
        {"publish a when attested\nrequire attested within 1h\nmeasure 24\n", "23"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fl_profile p = {0};
        struct fl_context ctx = {0};
        char text[256];

        (void)snprintf(text, sizeof text, "profile x {\nversion 1\n%s}\n", cases[i].text);
        assert_int_equal(fl_profile_parse(fl_slice_str(text), "x", &p, &ctx), FL_EPARSE);
        assert_contains(ctx.text, cases[i].words);
    }
}

static void a_device_may_do_what_its_profile_says_and_no_more(void **state)
{
    struct fl_profile profile = {0};
    (void)state;

    assert_ok(parse("profile x {\nversion 1\npublish d/{device}/t/#\npublish x/+\n"
                    "subscribe d/{device}/c/#\n}\n",
                    &profile));
    assert_true(allows(&profile, FL_RIGHT_PUBLISH, "d/cam-01/t/temperature"));
    assert_true(allows(&profile, FL_RIGHT_PUBLISH, "x/y"));
    assert_false(allows(&profile, FL_RIGHT_PUBLISH, "d/cam-02/t/temperature"));
    assert_false(allows(&profile, FL_RIGHT_PUBLISH, "d/cam-01/c/reboot"));
    assert_false(allows(&profile, FL_RIGHT_PUBLISH, "d/cam-01/t/#"));
    assert_false(allows(&profile, FL_RIGHT_PUBLISH, "x/+"));
    assert_false(allows(&profile, FL_RIGHT_PUBLISH, ""));
    assert_true(allows(&profile, FL_RIGHT_SUBSCRIBE, "d/cam-01/c/#"));
    assert_true(allows(&profile, FL_RIGHT_SUBSCRIBE, "d/cam-01/c/reboot"));
    assert_false(allows(&profile, FL_RIGHT_SUBSCRIBE, "d/+/c/#"));
    assert_false(allows(&profile, FL_RIGHT_SUBSCRIBE, "d/cam-01/t/temperature"));
    assert_false(allows(&profile, FL_RIGHT_SUBSCRIBE, "#"));
    assert_false(allows(&profile, FL_RIGHT_SUBSCRIBE, ""));
    fl_profile_free(&profile);
}

/* --- what we ship --- */

static struct fl_profile shipped(const char *name)
{
    struct fl_profile profile = {0};
    char path[512];
    static char text[FL_LIMIT_PROFILE_SIZE];
    size_t size = 0;
    FILE *file = NULL;
    static const char *const host[] = {"load1",           "load5",        "memory_used_percent",
                                       "cpu_temperature", "net_rx_bytes", "net_tx_bytes"};

    (void)snprintf(path, sizeof path, "%s/profiles/%s.profile", FL_SOURCE_DIR, name);
    file = fopen(path, "rb");
    assert_non_null(file);
    size = fread(text, 1, sizeof text, file);
    (void)fclose(file);
    if (fl_profile_parse(fl_slice(text, size), path, &profile, &context) != FL_OK)
        fail_msg("%s", context.text);
    assert_string_equal(profile.name, name);
    assert_string_equal(profile.publish[0], "d/{device}/t/#");
    assert_string_equal(profile.subscribe[0], "d/{device}/c/#");
    for (size_t i = 0; i < 6; i++)
        assert_non_null(fl_profile_stream(&profile, fl_slice_str(host[i])));
    return profile;
}

static void the_shipped_profiles_are_valid_and_carry_the_host_streams(void **state)
{
    static const char *const streams[][4] = {{"temperature", "motion", "illuminance", "frame_rate"},
                                             {"temperature", "humidity", "setpoint", "heating"},
                                             {"power", "voltage", "current", "energy"}};
    static const char *const names[] = {"camera", "thermostat", "meter"};
    (void)state;

    for (size_t i = 0; i < 3; i++) {
        struct fl_profile profile = shipped(names[i]);
        for (size_t s = 0; s < 4; s++)
            assert_non_null(fl_profile_stream(&profile, fl_slice_str(streams[i][s])));
        if (i == 0) {
            const struct fl_profile_stream *t =
                fl_profile_stream(&profile, fl_slice_str("temperature"));
            assert_string_equal(t->unit, "\xC2\xB0\x43");
            assert_true(t->min == -40 && t->max == 85);
        }
        fl_profile_free(&profile);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_profile_is_read),
        cmocka_unit_test(what_a_profile_leaves_out_has_a_default),
        cmocka_unit_test(every_mistake_has_its_place_and_a_hint),
        cmocka_unit_test(texts_have_a_size),
        cmocka_unit_test(only_valid_filters_are_accepted),
        cmocka_unit_test(every_limit_is_reached_and_not_passed),
        cmocka_unit_test(a_signature_covers_every_byte_before_it),
        cmocka_unit_test(a_signature_has_one_form_and_one_place),
        cmocka_unit_test(a_filter_is_covered_only_if_all_its_topics_are),
        cmocka_unit_test(coverage_agrees_with_the_naive_judge_on_every_topic),
        cmocka_unit_test(the_placeholder_is_the_name_itself),
        cmocka_unit_test(a_device_may_do_what_its_profile_says_and_no_more),
        cmocka_unit_test(rights_that_need_evidence_are_there_while_it_is),
        cmocka_unit_test(mistakes_about_evidence_are_told),
        cmocka_unit_test(the_shipped_profiles_are_valid_and_carry_the_host_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
