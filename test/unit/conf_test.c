/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/conf.h"

#include "test/unit/unit.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

static struct fl_context context;

static enum fl_error parse(const char *text, struct fl_conf *conf)
{
    context.text[0] = 0;
    return fl_conf_parse(fl_slice_str(text), "hub.conf", conf, &context);
}

static void expect_error(const char *text, enum fl_error error, const char *message)
{
    struct fl_conf conf = {0};

    if (parse(text, &conf) != error)
        fail_msg("'%s' did not give %s but '%s'", text, fl_error_words(error), context.text);
    assert_null(conf.memory);
    assert_contains(context.text, message);
}

static void statements_words_and_blocks_become_a_tree(void **state)
{
    struct fl_conf conf = {0};
    const struct fl_conf_node *profile = NULL;
    const struct fl_conf_node *stream = NULL;
    (void)state;

    assert_ok(parse("# a profile\n\nprofile camera {   # opens\n\ttitle \"Indoor camera\"\r\n"
                    "  publish d/{device}/t/#\n  publish other # not this\n  stream x { \n  }\n}\n"
                    "last",
                    &conf));
    profile = fl_conf_find(conf.root, "profile");
    assert_non_null(profile);
    assert_int_equal(profile->word_count, 2);
    assert_int_equal(profile->line, 3);
    assert_true(profile->has_block);
    assert_slice_equal(profile->words[1].text, "camera");
    assert_int_equal(profile->words[1].column, 9);
    assert_slice_equal(profile->child->words[1].text, "Indoor camera");
    assert_int_equal(profile->child->words[0].column, 2);
    assert_slice_equal(profile->child->next->words[1].text, "d/{device}/t/#");
    assert_false(profile->child->next->has_comment);
    assert_true(profile->child->next->next->has_comment);
    assert_slice_equal(fl_conf_next(fl_conf_find(profile, "publish"))->words[1].text, "other");
    assert_null(fl_conf_next(fl_conf_next(fl_conf_find(profile, "publish"))));
    stream = fl_conf_find(profile, "stream");
    assert_true(stream->has_block);
    assert_null(stream->child);
    assert_slice_equal(profile->next->words[0].text, "last");
    assert_null(profile->next->next);
    assert_null(fl_conf_find(conf.root, "title"));
    fl_conf_free(&conf);
    fl_conf_free(&conf);
    fl_conf_free(NULL);
}

static void an_empty_file_is_an_empty_tree(void **state)
{
    struct fl_conf conf = {0};
    (void)state;

    assert_ok(parse("", &conf));
    assert_null(conf.root->child);
    fl_conf_free(&conf);
    assert_ok(parse("  # only a comment", &conf));
    assert_null(conf.root->child);
    fl_conf_free(&conf);
    assert_ok(fl_conf_parse(fl_slice(NULL, 0), "x", &conf, NULL));
    fl_conf_free(&conf);
}

static void quotes_say_what_a_bare_word_cannot(void **state)
{
    struct fl_conf conf = {0};
    const struct fl_conf_word *words = NULL;
    (void)state;

    assert_ok(parse("a \"\" \"#\" \"x\\\"\\\\\\n\\ty\" \"\\u{41}\\u{e9}\\u{20ac}\\u{1F600}\" "
                    "\"{\" \xC2\xB0\x43 \"a # b\"",
                    &conf));
    words = conf.root->child->words;
    assert_int_equal(conf.root->child->word_count, 8);
    assert_int_equal(words[1].text.size, 0);
    assert_slice_equal(words[2].text, "#");
    assert_slice_equal(words[3].text, "x\"\\\n\ty");
    assert_slice_equal(words[4].text, "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    assert_slice_equal(words[5].text, "{");
    assert_slice_equal(words[6].text, "\xC2\xB0\x43");
    assert_slice_equal(words[7].text, "a # b");
    assert_false(conf.root->child->has_comment);
    /* Columns count characters: the degree sign is one. */
    assert_int_equal(words[7].column - words[6].column, 3);
    fl_conf_free(&conf);
}

static void every_syntax_error_has_its_place_and_a_hint(void **state)
{
    (void)state;
    expect_error("a {\n b\n", FL_EPARSE, "hub.conf:3:1: expected '}': the block 'a' of line 1");
    expect_error("a {\n b", FL_EPARSE, "hub.conf:2:3: expected '}'");
    expect_error("a\n}\n", FL_EPARSE, "hub.conf:2:1: '}' closes nothing");
    expect_error("a {\n} b\n", FL_EPARSE, "hub.conf:2:3: expected the end of the line after '}'");
    expect_error("a { b }\n", FL_EPARSE, "hub.conf:1:5: expected the end of the line after '{'");
    expect_error("a {\n b }\n", FL_EPARSE, "hub.conf:2:4: '}' goes on a line of its own");
    expect_error(" {\n}\n", FL_EPARSE, "hub.conf:1:2: expected a statement's name before '{'");
    expect_error("a{\n}\n", FL_EPARSE, "hub.conf:1:2: expected a blank before '{'");
    expect_error("a {}\n", FL_EPARSE, "hub.conf:1:3: braces that do not belong");
    expect_error("a b}\n", FL_EPARSE, "hub.conf:1:3: braces that do not belong");
    expect_error("a }b{\n", FL_EPARSE, "hub.conf:1:3: braces that do not belong");
    expect_error("a {x\n", FL_EPARSE, "hub.conf:1:3: braces that do not belong");
    expect_error("\"a\" b\n", FL_EPARSE, "hub.conf:1:1: a statement begins with its name");
    expect_error("a b\"c\"\n", FL_EPARSE, "hub.conf:1:4: a quote inside a word");
    expect_error("a b\\c\n", FL_EPARSE, "hub.conf:1:4: a backslash outside quotes");
    expect_error("a \"b\"c\n", FL_EPARSE, "hub.conf:1:6: expected a blank after the closing quote");
    expect_error("a \"b\n\"\n", FL_EPARSE, "hub.conf:1:3: the quote is not closed on this line");
    expect_error("a \"b", FL_EPARSE, "hub.conf:1:3: the quote is not closed");
    expect_error("a \"b\\\n\"", FL_EPARSE, "hub.conf:1:6: unknown escape");
    expect_error("a \"\\x41\"", FL_EPARSE, "hub.conf:1:5: unknown escape");
    expect_error("a \"\\", FL_EPARSE, "hub.conf:1:5: unknown escape");
    expect_error("a \"\\u41\"", FL_EPARSE, "hub.conf:1:6: expected '{'");
    expect_error("a \"\\u{}\"", FL_EPARSE, "hub.conf:1:7: expected 1 to 6 hexadecimal digits");
    expect_error("a \"\\u{1234567}\"", FL_EPARSE, "expected 1 to 6 hexadecimal digits");
    expect_error("a \"\\u{12g}\"", FL_EPARSE, "hub.conf:1:9: expected 1 to 6 hexadecimal digits");
    expect_error("a \"\\u{0}\"", FL_EPARSE, "U+0000 is not a character");
    expect_error("a \"\\u{D800}\"", FL_EPARSE, "U+D800 is not a character");
    expect_error("a \"\\u{110000}\"", FL_EPARSE, "U+110000 is not a character");
}

static void only_honest_utf8_is_read(void **state)
{
    struct fl_conf conf = {0};
    (void)state;

    expect_error("a\n b \xFF\n", FL_EPARSE, "hub.conf:2:4: the byte 0xff is not UTF-8");
    expect_error("a \xC3", FL_EPARSE, "hub.conf:1:3: the byte 0xc3 is not UTF-8");
    expect_error("a \xED\xA0\x80", FL_EPARSE, "the byte 0xed is not UTF-8");
    expect_error("a \x1b[2J", FL_EPARSE, "hub.conf:1:3: the control character 0x1b");
    expect_error("# in a comment too \x7f", FL_EPARSE, "hub.conf:1:20: the control character 0x7f");
    expect_error("a\rb\n", FL_EPARSE, "hub.conf:1:2: a carriage return without a line feed");
    expect_error("a\r", FL_EPARSE, "hub.conf:1:2: a carriage return");
    expect_error("\xEF\xBB\xBF"
                 "a",
                 FL_EPARSE, "hub.conf:1:1: a byte order mark");
    expect_error("a \"x\xE2\x80\xAEy\"", FL_EPARSE,
                 "hub.conf:1:5: the invisible character U+202E: write it as \\u{202e}");
    expect_error("a \xC2\x85", FL_EPARSE, "invisible character U+0085");
    assert_int_equal(fl_conf_parse(fl_slice("a\0b", 3), "f", &conf, &context), FL_EPARSE);
    assert_string_equal(context.text, "f:1:2: the control character 0x00: remove it");
}

static void the_name_of_the_file_cannot_forge_a_message(void **state)
{
    struct fl_conf conf = {0};
    (void)state;

    assert_int_equal(fl_conf_parse(fl_slice_str("}"), "a\n\x1b.conf", &conf, &context), FL_EPARSE);
    assert_contains(context.text, "a\\x0a\\x1b.conf:1:1: ");
}

/* `count` times `text`, with `head` before and `tail` after. */
static char *repeated(const char *head, const char *text, size_t count, const char *tail)
{
    size_t size = strlen(text);
    char *to = malloc(strlen(head) + size * count + strlen(tail) + 1);
    char *at = to;

    assert_non_null(to);
    memcpy(at, head, strlen(head));
    at += strlen(head);
    for (size_t i = 0; i < count; i++, at += size)
        memcpy(at, text, size);
    memcpy(at, tail, strlen(tail) + 1);
    return to;
}

static void expect_limit(char *inside, char *outside, const char *message)
{
    struct fl_conf conf = {0};

    if (parse(inside, &conf) != FL_OK)
        fail_msg("at the limit: %s", context.text);
    fl_conf_free(&conf);
    expect_error(outside, FL_ELIMIT, message);
    free(inside);
    free(outside);
}

static void every_limit_is_reached_and_not_passed(void **state)
{
    (void)state;
    expect_limit(repeated("#", "x", FL_LIMIT_CONF_SIZE - 1, ""),
                 repeated("#", "x", FL_LIMIT_CONF_SIZE, ""), "at most 262144");
    expect_limit(repeated("", "a\n", FL_LIMIT_CONF_NODES, ""),
                 repeated("", "a\n", FL_LIMIT_CONF_NODES + 1, ""),
                 "hub.conf:16385:1: more than 16384 statements");
    expect_limit(repeated("", "w ", FL_LIMIT_CONF_WORDS, ""),
                 repeated("", "w ", FL_LIMIT_CONF_WORDS + 1, ""),
                 "hub.conf:1:129: more than 64 words");
    expect_limit(repeated("a ", "w", FL_LIMIT_CONF_WORD, ""),
                 repeated("a ", "w", FL_LIMIT_CONF_WORD + 1, ""),
                 "hub.conf:1:3: a word of more than 4096 bytes");
    expect_limit(repeated("", "a {\n", FL_LIMIT_CONF_DEPTH, "}\n}\n}\n}\n}\n}\n}\n}\n"),
                 repeated("", "a {\n", FL_LIMIT_CONF_DEPTH + 1, ""),
                 "hub.conf:9:3: blocks nested deeper than 8");
}

static const struct fl_conf_rule rules[] = {
    {.name = "title", .words_min = 1, .words_max = 1, .usage = "title \"TEXT\""},
    {.name = "host", .words_min = 1, .words_max = 3, .required = true, .usage = "host NAME..."},
    {.name = "publish", .words_min = 1, .words_max = 1, .repeats = true, .usage = "publish FILTER"},
    {.name = "range", .words_min = 2, .words_max = 2, .usage = "range MIN MAX"},
    {.name = "flag"},
    {.name = "stream", .words_min = 1, .words_max = 1, .block = FL_CONF_BLOCK},
    {.name = "maybe", .block = FL_CONF_BLOCK_OPTIONAL},
    {0},
};

static enum fl_error check(const char *text)
{
    struct fl_conf conf = {0};
    enum fl_error error = FL_OK;

    assert_ok(parse(text, &conf));
    error = fl_conf_check(&conf, conf.root, rules, &context);
    fl_conf_free(&conf);
    return error;
}

static void refused(const char *text, const char *message)
{
    assert_int_equal(check(text), FL_EPARSE);
    assert_string_equal(context.text, message);
}

static void statements_are_checked_against_the_rules(void **state)
{
    (void)state;
    assert_ok(check("host a b c\npublish x\npublish y\nflag\nstream s {\n}\nmaybe\nrange 1 2\n"));
    assert_ok(check("host a\nmaybe {\n}\n"));
    refused("host a\ntitel x\n", "hub.conf:2:1: unknown statement 'titel' (did you mean 'title'?)");
    refused("host a\nhots b\n", "hub.conf:2:1: unknown statement 'hots' (did you mean 'host'?)");
    refused("host a\nflg\n", "hub.conf:2:1: unknown statement 'flg' (did you mean 'flag'?)");
    refused("something else\n",
            "hub.conf:1:1: unknown statement 'something': expected title, host, "
            "publish, range, flag, stream, maybe");
    refused("a234567890123456789012345678901234567890\n",
            "hub.conf:1:1: unknown statement 'a234567890123456789012345678901': expected title, "
            "host, publish, range, flag, stream, maybe");
    refused("title\n", "hub.conf:1:1: 'title' needs 1 word after it, not 0; write: title \"TEXT\"");
    refused("host a\nrange 1\n",
            "hub.conf:2:1: 'range' needs 2 words after it, not 1; write: range MIN MAX");
    refused("range 1 2 3\n",
            "hub.conf:1:11: 'range' needs 2 words after it, not 3; write: range MIN MAX");
    refused("host\n",
            "hub.conf:1:1: 'host' needs at least 1 word after it, not 0; write: host NAME...");
    refused("host a b c d\n",
            "hub.conf:1:12: 'host' needs at most 3 words after it, not 4; write: host NAME...");
    refused("flag x\n", "hub.conf:1:6: 'flag' takes no words after it; write: flag");
    refused("publish #\n", "hub.conf:1:1: 'publish' needs 1 word after it, not 0; write: publish "
                           "FILTER (a word that begins with '#' must be in quotes)");
    refused("host a {\n}\n", "hub.conf:1:6: 'host' has no block: remove '{'; write: host NAME...");
    refused("flag {\n}\n", "hub.conf:1:1: 'flag' has no block: remove '{'; write: flag");
    refused("stream s\n",
            "hub.conf:1:8: 'stream' needs a block: expected '{' at the end of the line");
    refused("host a\n\nhost b\n", "hub.conf:3:1: 'host' a second time: it is in line 1 already");
    refused("flag\n", "hub.conf:1:1: the statement 'host' is missing; write: host NAME...");
}

static void a_missing_statement_is_missed_where_its_block_begins(void **state)
{
    struct fl_conf conf = {0};
    static const struct fl_conf_rule inner[] = {{.name = "unit", .required = true}, {0}};
    (void)state;

    assert_ok(parse("\n  stream s {\n}\n", &conf));
    assert_int_equal(fl_conf_check(&conf, conf.root->child, inner, &context), FL_EPARSE);
    assert_string_equal(context.text, "hub.conf:2:3: the statement 'unit' is missing; write: unit");
    fl_conf_free(&conf);
}

/* The first word of the one statement "v WORD". */
struct value {
    enum fl_error error;
    uint64_t u64;
    double real;
    fl_time_t time;
    char name[FL_NAME_MAX + 1];
};

enum kind { U64, REAL, DURATION, NAME, DATE };

static struct value typed(enum kind kind, const char *word)
{
    struct fl_conf conf = {0};
    struct value value = {0};
    char text[1024];
    const struct fl_conf_node *node = NULL;

    (void)snprintf(text, sizeof text, "v %s\n", word);
    assert_ok(parse(text, &conf));
    node = conf.root->child;
    switch (kind) {
    case U64:
        value.error = fl_conf_u64(&conf, node, 1, 2, 65535, &value.u64, &context);
        break;
    case REAL:
        value.error = fl_conf_double(&conf, node, 1, &value.real, &context);
        break;
    case DURATION:
        value.error = fl_conf_duration(&conf, node, 1, &value.time, &context);
        break;
    case NAME:
        value.error = fl_conf_name(&conf, node, 1, value.name, &context);
        break;
    case DATE:
        value.error = fl_conf_date(&conf, node, 1, &value.time, &context);
        break;
    }
    fl_conf_free(&conf);
    return value;
}

static void refused_word(enum kind kind, const char *word, const char *message)
{
    assert_int_equal(typed(kind, word).error, FL_EPARSE);
    assert_contains(context.text, message);
}

static void numbers_are_read_strictly(void **state)
{
    char digits[600];
    (void)state;

    assert_int_equal(typed(U64, "65535").u64, 65535);
    assert_int_equal(typed(U64, "2").u64, 2);
    refused_word(U64, "65536", "hub.conf:1:3: 65536 is out of range: 2 to 65535");
    refused_word(U64, "99999999999999999999999", "out of range");
    refused_word(U64, "1", "1 is out of range: 2 to 65535");
    refused_word(U64, "-5", "'-5' is not a whole number from 2 to 65535");
    refused_word(U64, "05", "'05' is not a whole number");
    refused_word(U64, "", "hub.conf:1:1: expected a whole number after this");
    assert_true(typed(REAL, "-40").real == -40.0);
    assert_true(typed(REAL, "0.5").real == 0.5);
    assert_true(typed(REAL, "1e6").real == 1e6);
    assert_true(typed(REAL, "1.5E-3").real == 1.5e-3);
    assert_true(typed(REAL, "2e+1").real == 20.0);
    refused_word(REAL, "1e999", "1e999 is too large");
    refused_word(REAL, "", "expected a number after this");
    memset(digits, '1', sizeof digits);
    digits[sizeof digits - 1] = 0;
    refused_word(REAL, digits, "is not a number such as");
    for (size_t i = 0; i < 11; i++) {
        static const char *bad[] = {"nan", "inf", "0x10", "+1", ".5",  "5.",
                                    "1e",  "1e+", "1,5",  "-",  "1.5x"};
        refused_word(REAL, bad[i], "is not a number such as -40, 0.5 or 1e6");
    }
}

static void a_number_means_the_same_in_every_locale(void **state)
{
    (void)state;
    (void)setlocale(LC_ALL, "de_DE.UTF-8"); /* where it is there */
    assert_true(typed(REAL, "0.5").real == 0.5);
    (void)setlocale(LC_ALL, "C");
}

static void durations_dates_and_names_are_read_strictly(void **state)
{
    (void)state;
    assert_int_equal(typed(DURATION, "1h30m").time, 5400000);
    refused_word(DURATION, "15", "hub.conf:1:3: '15' is not a duration such as 90s");
    refused_word(DURATION, "40000d", "40000d is longer than 100 years");
    refused_word(DURATION, "", "expected a duration");
    assert_int_equal(typed(DATE, "1970-01-02").time, 86400000);
    assert_int_equal(typed(DATE, "2031-12-31").time, 1956441600000);
    refused_word(DATE, "2031-02-29", "hub.conf:1:3: '2031-02-29' is not a date such as 2031-12-31");
    refused_word(DATE, "2031-1-1", "is not a date");
    refused_word(DATE, "2031-12-31T00:00:00Z", "is not a date");
    refused_word(DATE, "", "expected a date");
    assert_string_equal(typed(NAME, "cam-01").name, "cam-01");
    refused_word(NAME, "cam/1", "hub.conf:1:3: 'cam/1' is not a name: 1 to 64 of");
    refused_word(NAME, "\"\"", "'' is not a name");
    refused_word(NAME, "", "expected a name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_words_and_blocks_become_a_tree),
        cmocka_unit_test(an_empty_file_is_an_empty_tree),
        cmocka_unit_test(quotes_say_what_a_bare_word_cannot),
        cmocka_unit_test(every_syntax_error_has_its_place_and_a_hint),
        cmocka_unit_test(only_honest_utf8_is_read),
        cmocka_unit_test(the_name_of_the_file_cannot_forge_a_message),
        cmocka_unit_test(every_limit_is_reached_and_not_passed),
        cmocka_unit_test(statements_are_checked_against_the_rules),
        cmocka_unit_test(a_missing_statement_is_missed_where_its_block_begins),
        cmocka_unit_test(numbers_are_read_strictly),
        cmocka_unit_test(a_number_means_the_same_in_every_locale),
        cmocka_unit_test(durations_dates_and_names_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
