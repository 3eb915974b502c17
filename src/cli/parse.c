/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/assert.h"
#include "base/str.h"

#include <stdlib.h>

const struct fl_cli_option fl_cli_global_options[] = {
    {"hub", "DIR|URL", "the hub: its directory on this machine, or https://HOST:PORT", NULL, false},
    {"json", NULL, "print JSON", NULL, false},
    {"help", NULL, "print this", NULL, false},
    {0},
};

const struct fl_cli_noun *fl_cli_find_noun(const char *name)
{
    for (size_t i = 0; i < fl_cli_noun_count; i++)
        if (strcmp(fl_cli_nouns[i].name, name) == 0)
            return &fl_cli_nouns[i];
    return NULL;
}

const struct fl_cli_verb *fl_cli_find_verb(const struct fl_cli_noun *noun, const char *verb)
{
    for (size_t i = 0; i < noun->verbs->count; i++) {
        const char *name = noun->verbs->items[i].verb;
        if ((!verb && !name) || (verb && name && strcmp(name, verb) == 0))
            return &noun->verbs->items[i];
    }
    return NULL;
}

#define NAME_MEANT_MAX 32

/* Edits (insert, delete, replace, swap of neighbours) from one to the other, for short words. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][NAME_MEANT_MAX + 1];
    size_t n = strlen(a);
    size_t m = strlen(b);

    if (n > NAME_MEANT_MAX || m > NAME_MEANT_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                rows[(i + 1) % 3][j - 2] + 1 < best)
                best = rows[(i + 1) % 3][j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *fl_cli_nearest(const char *typed, const char *(*next)(const void *of, size_t index),
                           const void *of)
{
    const char *best = NULL;
    const char *name = NULL;
    size_t best_distance = 3;

    for (size_t i = 0; (name = next(of, i)) != NULL; i++) {
        size_t distance = edit_distance(typed, name);
        if (strlen(typed) >= 2 && strncmp(typed, name, strlen(typed)) == 0)
            distance = 1; /* the beginning of a name */
        if (distance < best_distance && distance < strlen(name)) {
            best = name;
            best_distance = distance;
        }
    }
    return best;
}

static const char *noun_at(const void *of, size_t index)
{
    (void)of;
    return index < fl_cli_noun_count ? fl_cli_nouns[index].name : NULL;
}

static const char *verb_at(const void *of, size_t index)
{
    const struct fl_cli_noun *noun = of;

    return index < noun->verbs->count ? noun->verbs->items[index].verb : NULL;
}

static const char *option_at(const void *of, size_t index)
{
    const struct fl_cli_verb *verb = of;
    size_t own = 0;

    while (verb && verb->options && verb->options[own].name)
        own++;
    return index < own ? verb->options[index].name : fl_cli_global_options[index - own].name;
}

static enum fl_error unknown(struct fl_cli *cli, struct fl_context *ctx, const char *kind,
                             const char *typed, const char *dashes, const char *meant)
{
    char shown[128];

    fl_str_printable(shown, sizeof shown, fl_slice_str(typed));
    if (meant)
        return fl_cli_usage(cli, ctx, "%s%s: no such %s (did you mean %s%s?)", dashes, shown, kind,
                            dashes, meant);
    return fl_cli_usage(cli, ctx, "%s%s: no such %s", dashes, shown, kind);
}

/* What is being read: a cursor over the words. */
struct words {
    int argc;
    char **argv;
    int at;
};

static const struct fl_cli_option *find_option(const struct fl_cli_option *options,
                                               struct fl_slice name, size_t *index)
{
    for (size_t i = 0; options && options[i].name; i++)
        if (fl_slice_is(name, options[i].name)) {
            *index = i;
            return &options[i];
        }
    return NULL;
}

static enum fl_error option_value(struct fl_cli *cli, struct words *w,
                                  const struct fl_cli_option *option, const char *attached,
                                  const char **value, struct fl_context *ctx)
{
    const char *next = w->at + 1 < w->argc ? w->argv[w->at + 1] : NULL;

    *value = "";
    if (!option->argument && attached)
        return fl_cli_usage(cli, ctx, "--%s takes no argument", option->name);
    if (!option->argument)
        return FL_OK;
    if (attached) {
        *value = attached;
    } else if (option->takes) {
        if (next && option->takes(next)) {
            *value = next;
            w->at++;
        }
    } else if (next && (strncmp(next, "--", 2) != 0)) {
        *value = next;
        w->at++;
    }
    if (!**value && !option->takes)
        return fl_cli_usage(cli, ctx, "--%s needs an argument: --%s %s", option->name, option->name,
                            option->argument);
    return FL_OK;
}

static enum fl_error read_option(struct fl_cli *cli, struct words *w, struct fl_context *ctx)
{
    const char *text = w->argv[w->at] + 2;
    const char *equals = strchr(text, '=');
    struct fl_slice name = fl_slice(text, equals ? (size_t)(equals - text) : strlen(text));
    const struct fl_cli_option *option = NULL;
    const char *value = NULL;
    char typed[64];
    size_t index = 0;
    enum fl_error e = FL_OK;

    option = find_option(cli->verb ? cli->verb->options : NULL, name, &index);
    if (option) {
        if (cli->values[index])
            return fl_cli_usage(cli, ctx, "--%s is given twice", option->name);
        return option_value(cli, w, option, equals ? equals + 1 : NULL, &cli->values[index], ctx);
    }
    option = find_option(fl_cli_global_options, name, &index);
    if (!option) {
        (void)fl_str_copy_slice(typed, sizeof typed, name);
        return unknown(cli, ctx, "option", typed, "--",
                       fl_cli_nearest(typed, option_at, cli->verb));
    }
    e = option_value(cli, w, option, equals ? equals + 1 : NULL, &value, ctx);
    if (e == FL_OK && strcmp(option->name, "hub") == 0)
        cli->hub = value;
    cli->json = cli->json || strcmp(option->name, "json") == 0;
    cli->help = cli->help || strcmp(option->name, "help") == 0;
    return e;
}

/* How many operands a verb takes, from "ID [URL]". */
static void operand_bounds(const struct fl_cli_verb *verb, size_t *least, size_t *most)
{
    struct fl_slice rest = fl_slice_str(verb->operands);
    struct fl_slice word;

    *least = 0;
    *most = 0;
    while (rest.size > 0) {
        (void)fl_slice_cut(&rest, ' ', &word);
        (*most)++;
        *least += word.data[0] != '[';
    }
}

static enum fl_error check_whole(struct fl_cli *cli, struct fl_context *ctx)
{
    const struct fl_cli_option *options = cli->verb->options;
    size_t least = 0;
    size_t most = 0;
    char shown[128];

    operand_bounds(cli->verb, &least, &most);
    if (cli->operand_count > most) {
        fl_str_printable(shown, sizeof shown, fl_slice_str(cli->operands[most]));
        return fl_cli_usage(cli, ctx, "\"%s\" is one word too many", shown);
    }
    if (cli->operand_count < least)
        return fl_cli_usage(cli, ctx, "it needs %s", cli->verb->operands);
    for (size_t i = 0; options && options[i].name; i++)
        if (options[i].required && !cli->values[i])
            return fl_cli_usage(cli, ctx, "--%s %s is missing", options[i].name,
                                options[i].argument);
    return FL_OK;
}

/* A word that is no option: noun, verb or operand, in this order. */
static enum fl_error read_word(struct fl_cli *cli, const char *word, struct fl_context *ctx)
{
    if (!cli->noun) {
        cli->noun = fl_cli_find_noun(word);
        if (!cli->noun)
            return unknown(cli, ctx, "command", word, "", fl_cli_nearest(word, noun_at, NULL));
        cli->verb = fl_cli_find_verb(cli->noun, NULL);
        return FL_OK;
    }
    if (!cli->verb) {
        cli->verb = fl_cli_find_verb(cli->noun, word);
        if (!cli->verb)
            return unknown(cli, ctx, "verb", word, "", fl_cli_nearest(word, verb_at, cli->noun));
        return FL_OK;
    }
    if (cli->operand_count == FL_CLI_OPERANDS_MAX)
        return fl_cli_usage(cli, ctx, "too many words");
    cli->operands[cli->operand_count++] = word;
    return FL_OK;
}

enum fl_error fl_cli_parse(struct fl_cli *cli, int argc, char **argv, struct fl_context *ctx)
{
    struct words w = {.argc = argc, .argv = argv, .at = 1};
    bool options_over = false;
    enum fl_error e = FL_OK;

    for (; w.at < argc && e == FL_OK; w.at++) {
        const char *word = argv[w.at];
        if (!options_over && strcmp(word, "--") == 0)
            options_over = true;
        else if (!options_over && strcmp(word, "-h") == 0)
            cli->help = true;
        else if (!options_over && word[0] == '-' && word[1] == '-')
            e = read_option(cli, &w, ctx);
        else if (!options_over && word[0] == '-' && word[1])
            e = fl_cli_usage(cli, ctx, "%s: options are written in full, with two dashes",
                             fl_str_printable((char[64]){0}, 64, fl_slice_str(word)));
        else
            e = read_word(cli, word, ctx);
        cli->raw_at = w.at;
        if (cli->verb && cli->verb->raw)
            return FL_OK; /* the rest is its own */
    }
    if (e != FL_OK || cli->help)
        return e;
    if (!cli->verb)
        return fl_cli_usage(cli, ctx, "no %s given", cli->noun ? "verb" : "command");
    return check_whole(cli, ctx);
}

const char *fl_cli_option(const struct fl_cli *cli, const char *name)
{
    size_t index = 0;
    const struct fl_cli_option *option =
        find_option(cli->verb->options, fl_slice_str(name), &index);

    fl_assert(option);
    return cli->values[index];
}
