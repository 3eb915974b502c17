/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of verbs: everything that can be typed after `fairlead`. Parsing, --help, the overview,
 * shell completion and the test of the man page all read this table and nothing else. A noun's
 * verbs are an array in the noun's own file; fl_cli_nouns (verbs.c) lists the arrays. The run
 * function gets a parsed call (cli/cli.h) and returns an error with words; it never calls exit.
 */
#ifndef FL_CLI_VERB_H
#define FL_CLI_VERB_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct fl_cli;

#define FL_CLI_OPTIONS_MAX 16
#define FL_CLI_OPERANDS_MAX 4

struct fl_cli_option {
    const char *name;     /* without dashes; NULL ends the list */
    const char *argument; /* "DURATION"; "[FILE]": may be left out; NULL: a flag */
    const char *help;
    /* For an argument that may be left out: whether the next word is one. (--name=WORD always is.)
     */
    bool (*takes)(const char *word);
    bool required;
};

struct fl_cli_verb {
    const char *noun;
    const char *verb;                    /* NULL: the noun is the whole command */
    const char *operands;                /* "ID", "[URL]", "" */
    const char *summary;                 /* one line */
    const char *details;                 /* further lines of --help, or NULL */
    const struct fl_cli_option *options; /* NULL: none but the global ones */
    enum fl_error (*run)(struct fl_cli *cli, struct fl_context *ctx);
    /* Instead of run: parses its own arguments (argv[0] is the noun), returns the exit code. */
    int (*raw)(int argc, char **argv);
};

struct fl_cli_verbs {
    const struct fl_cli_verb *items;
    size_t count;
};

struct fl_cli_noun {
    const char *name;
    const char *summary;
    const struct fl_cli_verbs *verbs;
};

extern const struct fl_cli_noun fl_cli_nouns[];
extern const size_t fl_cli_noun_count;

/* Those that every verb takes: --hub, --json, --help. */
extern const struct fl_cli_option fl_cli_global_options[];

const struct fl_cli_noun *fl_cli_find_noun(const char *name);
/* `verb` NULL: the verb of a noun that is the whole command. NULL when there is none. */
const struct fl_cli_verb *fl_cli_find_verb(const struct fl_cli_noun *noun, const char *verb);

/* The nearest of the names that `next` yields (NULL ends them), or NULL when none is near enough to
 * be meant. */
const char *fl_cli_nearest(const char *typed, const char *(*next)(const void *of, size_t index),
                           const void *of);

#endif
