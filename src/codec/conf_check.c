/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/conf.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_MAX_COMPARED 32 /* a longer name is no slip of a finger */
static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* Edits between two names: insert, delete, replace, swap neighbours. */
static size_t distance(struct fl_slice a, struct fl_slice b)
{
    size_t rows[3][NAME_MAX_COMPARED + 1];
    size_t *before = rows[0];
    size_t *above = rows[1];
    size_t *row = rows[2];

    if (a.size > NAME_MAX_COMPARED || b.size > NAME_MAX_COMPARED)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.size; j++)
        above[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t *spare = before;
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t differs = a.data[i - 1] != b.data[j - 1];
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + differs);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
                a.data[i - 2] == b.data[j - 1] && before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        before = above;
        above = row;
        row = spare;
    }
    return above[b.size];
}

static const struct fl_conf_rule *nearest(const struct fl_conf_rule *rules, struct fl_slice name)
{
    const struct fl_conf_rule *best = NULL;
    size_t least = name.size < 4 ? 1 : 2;

    for (const struct fl_conf_rule *rule = rules; rule->name; rule++) {
        size_t edits = distance(name, fl_slice_str(rule->name));
        if (edits < least || (edits == least && !best)) {
            least = edits;
            best = rule;
        }
    }
    return best;
}

static enum fl_error fail_unknown(const struct fl_conf *conf, const struct fl_conf_node *node,
                                  const struct fl_conf_rule *rules, struct fl_context *ctx)
{
    char text[FL_CONF_SHOWN];
    char names[256] = "";
    size_t used = 0;
    const struct fl_conf_rule *near = nearest(rules, node->words[0].text);

    (void)fl_conf_shown(text, node->words[0].text);
    if (near)
        return fl_conf_fail(conf, node, 0, ctx, "unknown statement '%s' (did you mean '%s'?)", text,
                            near->name);
    for (const struct fl_conf_rule *rule = rules; rule->name && used < sizeof names; rule++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "",
                                 rule->name);
    return fl_conf_fail(conf, node, 0, ctx, "unknown statement '%s': expected %s", text, names);
}

static enum fl_error fail_words(const struct fl_conf *conf, const struct fl_conf_node *node,
                                const struct fl_conf_rule *rule, struct fl_context *ctx)
{
    uint32_t count = node->word_count - 1;
    bool few = count < rule->words_min;
    uint32_t bound = few ? rule->words_min : rule->words_max;
    const char *usage = rule->usage ? rule->usage : rule->name;

    if (!few && bound == 0)
        return fl_conf_fail(conf, node, 1, ctx, "'%s' takes no words after it; write: %s",
                            rule->name, usage);
    return fl_conf_fail(
        conf, node, few ? 0 : bound + 1, ctx,
        "'%s' needs %s%u word%s after it, not %u; write: %s%s", rule->name,
        rule->words_min == rule->words_max ? "" : (few ? "at least " : "at most "), bound,
        bound == 1 ? "" : "s", count, usage,
        few && node->has_comment ? " (a word that begins with '#' must be in quotes)" : "");
}

static enum fl_error check_statement(const struct fl_conf *conf, const struct fl_conf_node *block,
                                     const struct fl_conf_node *node,
                                     const struct fl_conf_rule *rules, struct fl_context *ctx)
{
    const struct fl_conf_rule *rule = rules;
    const struct fl_conf_node *first = NULL;

    while (rule->name && !fl_slice_is(node->words[0].text, rule->name))
        rule++;
    if (!rule->name)
        return fail_unknown(conf, node, rules, ctx);
    if (node->word_count - 1 < rule->words_min || node->word_count - 1 > rule->words_max)
        return fail_words(conf, node, rule, ctx);
    if (node->has_block && rule->block == FL_CONF_NO_BLOCK)
        return fl_conf_fail(conf, node, node->word_count - 1, ctx,
                            "'%s' has no block: remove '{'; write: %s", rule->name,
                            rule->usage ? rule->usage : rule->name);
    if (!node->has_block && rule->block == FL_CONF_BLOCK)
        return fl_conf_fail(conf, node, node->word_count - 1, ctx,
                            "'%s' needs a block: expected '{' at the end of the line", rule->name);
    if (rule->repeats)
        return FL_OK;
    first = fl_conf_find(block, rule->name);
    if (first != node)
        return fl_conf_fail(conf, node, 0, ctx, "'%s' a second time: it is in line %u already",
                            rule->name, first->line);
    return FL_OK;
}

enum fl_error fl_conf_check(const struct fl_conf *conf, const struct fl_conf_node *block,
                            const struct fl_conf_rule *rules, struct fl_context *ctx)
{
    for (const struct fl_conf_node *node = block->child; node; node = node->next) {
        enum fl_error error = check_statement(conf, block, node, rules, ctx);
        if (error != FL_OK)
            return error;
    }
    for (const struct fl_conf_rule *rule = rules; rule->name; rule++)
        if (rule->required && !fl_conf_find(block, rule->name))
            return fl_conf_fail(conf, block, 0, ctx, "the statement '%s' is missing; write: %s",
                                rule->name, rule->usage ? rule->usage : rule->name);
    return FL_OK;
}

/* --- typed words --- */

/* The word, or a complaint that there is none. */
static enum fl_error word_at(const struct fl_conf *conf, const struct fl_conf_node *node,
                             uint32_t word, const char *what, struct fl_slice *text,
                             struct fl_context *ctx)
{
    if (word >= node->word_count)
        return fl_conf_fail(conf, node, word, ctx, "expected %s after this", what);
    *text = node->words[word].text;
    return FL_OK;
}

enum fl_error fl_conf_u64(const struct fl_conf *conf, const struct fl_conf_node *node,
                          uint32_t word, uint64_t min, uint64_t max, uint64_t *value,
                          struct fl_context *ctx)
{
    struct fl_slice text = {0};
    char safe[FL_CONF_SHOWN];
    uint64_t number = 0;
    enum fl_error error = word_at(conf, node, word, "a whole number", &text, ctx);

    if (error != FL_OK)
        return error;
    error = fl_str_to_u64(text, max, &number);
    if (error == FL_EPARSE)
        return fl_conf_fail(conf, node, word, ctx,
                            "'%s' is not a whole number from %llu to %llu, without sign or leading "
                            "zeros",
                            fl_conf_shown(safe, text), (unsigned long long)min,
                            (unsigned long long)max);
    if (error != FL_OK || number < min)
        return fl_conf_fail(conf, node, word, ctx, "%s is out of range: %llu to %llu",
                            fl_conf_shown(safe, text), (unsigned long long)min,
                            (unsigned long long)max);
    *value = number;
    return FL_OK;
}

static size_t skip_digits(struct fl_slice text, size_t at)
{
    while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9')
        at++;
    return at;
}

/* -?digits(.digits)?([eE][+-]?digits)? : no hexadecimal, no "inf", no "nan", no leading '+'. */
static bool is_decimal(struct fl_slice text)
{
    size_t at = text.size > 0 && text.data[0] == '-';
    size_t end = skip_digits(text, at);

    if (end == at)
        return false;
    at = end;
    if (at < text.size && text.data[at] == '.') {
        end = skip_digits(text, at + 1);
        if (end == at + 1)
            return false;
        at = end;
    }
    if (at < text.size && (text.data[at] == 'e' || text.data[at] == 'E')) {
        at++;
        at += at < text.size && (text.data[at] == '+' || text.data[at] == '-');
        end = skip_digits(text, at);
        if (end == at)
            return false;
        at = end;
    }
    return at == text.size;
}

/* Whatever the program's locale: a file means the same everywhere. */
static double to_double(const char *text)
{
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    double value = c_locale ? strtod_l(text, NULL, c_locale) : HUGE_VAL;

    if (c_locale)
        freelocale(c_locale);
    return value;
}

enum fl_error fl_conf_double(const struct fl_conf *conf, const struct fl_conf_node *node,
                             uint32_t word, double *value, struct fl_context *ctx)
{
    struct fl_slice text = {0};
    char number[512];
    char safe[FL_CONF_SHOWN];
    double parsed = 0;
    enum fl_error error = word_at(conf, node, word, "a number", &text, ctx);

    if (error != FL_OK)
        return error;
    if (!is_decimal(text) || !fl_str_copy_slice(number, sizeof number, text))
        return fl_conf_fail(conf, node, word, ctx, "'%s' is not a number such as -40, 0.5 or 1e6",
                            fl_conf_shown(safe, text));
    parsed = to_double(number);
    if (!isfinite(parsed))
        return fl_conf_fail(conf, node, word, ctx, "%s is too large a number",
                            fl_conf_shown(safe, text));
    *value = parsed;
    return FL_OK;
}

enum fl_error fl_conf_duration(const struct fl_conf *conf, const struct fl_conf_node *node,
                               uint32_t word, fl_time_t *value, struct fl_context *ctx)
{
    struct fl_slice text = {0};
    char safe[FL_CONF_SHOWN];
    fl_time_t parsed = 0;
    enum fl_error error = word_at(conf, node, word, "a duration", &text, ctx);

    if (error != FL_OK)
        return error;
    error = fl_duration_parse(text, &parsed);
    if (error == FL_ELIMIT)
        return fl_conf_fail(conf, node, word, ctx, "%s is longer than 100 years",
                            fl_conf_shown(safe, text));
    if (error != FL_OK)
        return fl_conf_fail(conf, node, word, ctx,
                            "'%s' is not a duration such as 90s, 15m, 1h30m or 7d",
                            fl_conf_shown(safe, text));
    *value = parsed;
    return FL_OK;
}

enum fl_error fl_conf_name(const struct fl_conf *conf, const struct fl_conf_node *node,
                           uint32_t word, char to[FL_NAME_MAX + 1], struct fl_context *ctx)
{
    struct fl_slice text = {0};
    char safe[FL_CONF_SHOWN];
    enum fl_error error = word_at(conf, node, word, "a name", &text, ctx);

    if (error != FL_OK)
        return error;
    if (!fl_name_valid(text))
        return fl_conf_fail(conf, node, word, ctx,
                            "'%s' is not a name: 1 to %d of A-Z a-z 0-9 . _ - and the first a "
                            "letter or digit",
                            fl_conf_shown(safe, text), FL_NAME_MAX);
    (void)fl_str_copy_slice(to, FL_NAME_MAX + 1, text);
    return FL_OK;
}

enum fl_error fl_conf_date(const struct fl_conf *conf, const struct fl_conf_node *node,
                           uint32_t word, fl_time_t *value, struct fl_context *ctx)
{
    struct fl_slice text = {0};
    char safe[FL_CONF_SHOWN];
    char instant[FL_TIME_TEXT_MAX];
    enum fl_error error = word_at(conf, node, word, "a date", &text, ctx);

    if (error != FL_OK)
        return error;
    (void)snprintf(instant, sizeof instant, "%.*sT00:00:00Z", text.size == 10 ? 10 : 0,
                   text.size ? (const char *)text.data : "");
    if (fl_time_parse(fl_slice_str(instant), value) != FL_OK)
        return fl_conf_fail(conf, node, word, ctx, "'%s' is not a date such as 2031-12-31",
                            fl_conf_shown(safe, text));
    return FL_OK;
}
