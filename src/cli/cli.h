/* SPDX-License-Identifier: Apache-2.0
 *
 * One call of `fairlead`: what was typed, where output goes, and how a verb reports. Answers go to
 * stdout, everything else to stderr. A verb that fails returns an error whose words say what and
 * where, and adds what to do with fl_cli_hint. Exit codes: 0 done, 1 failed, 2 wrongly typed.
 */
#ifndef FL_CLI_CLI_H
#define FL_CLI_CLI_H

#include "base/buffer.h"
#include "base/time.h"
#include "cli/table.h"
#include "cli/verb.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>

struct fl_cli {
    const struct fl_cli_noun *noun;
    const struct fl_cli_verb *verb;
    int raw_at; /* of a raw verb: where the noun is in argv */
    const char *operands[FL_CLI_OPERANDS_MAX];
    size_t operand_count;
    const char *values[FL_CLI_OPTIONS_MAX]; /* by the verb's option; NULL absent, "" a bare flag */
    const char *hub;                        /* --hub or FAIRLEAD_HUB; NULL when neither */
    bool json;
    bool help;
    FILE *out;
    size_t width; /* of the terminal; 0 when stdout is none */
    size_t height;
    bool color; /* stdout */
    char hint[1024];
    bool usage; /* the failure is a mistake in typing: exit code 2 */
};

/* Set by SIGINT and SIGTERM once fl_cli_catch_signals was called; calls in flight end then. */
extern volatile sig_atomic_t fl_cli_interrupted;
void fl_cli_catch_signals(void);

int fl_cli_main(int argc, char **argv);

/* Finds the verb and sorts the words; FL_EINVAL with words and `usage` set. */
FL_MUST_USE enum fl_error fl_cli_parse(struct fl_cli *cli, int argc, char **argv,
                                       struct fl_context *ctx);

/* The option's word, "" for a bare flag, NULL when it was not given. Asserts that the verb has it.
 */
const char *fl_cli_option(const struct fl_cli *cli, const char *name);

/* What to do about the failure; a new line of the hint each. */
void fl_cli_hint(struct fl_cli *cli, const char *format, ...) FL_PRINTF(2, 3);
/* FL_EINVAL and exit code 2. */
enum fl_error fl_cli_usage(struct fl_cli *cli, struct fl_context *ctx, const char *format, ...)
    FL_PRINTF(3, 4);

/* Typed words, each with a usage error that says what was expected. An option that is absent leaves
 * `value` as it is. */
FL_MUST_USE enum fl_error fl_cli_name(struct fl_cli *cli, const char *what, const char *word,
                                      struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_cli_seconds(struct fl_cli *cli, const char *option, int64_t max_s,
                                         int64_t *seconds, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_cli_number(struct fl_cli *cli, const char *option, uint64_t max,
                                        uint64_t *value, struct fl_context *ctx);
/* A duration before `now`, or a time of RFC 3339. */
FL_MUST_USE enum fl_error fl_cli_moment(struct fl_cli *cli, const char *option, fl_time_t now,
                                        fl_time_t *value, struct fl_context *ctx);

fl_time_t fl_cli_now(void); /* ms since the epoch */

/* Output. FL_EIO when stdout cannot be written; FL_ECLOSED, told to nobody, when the reader of a
 * pipe has gone. */
FL_MUST_USE enum fl_error fl_cli_write(struct fl_cli *cli, struct fl_buffer *text,
                                       struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_cli_write_table(struct fl_cli *cli, const struct fl_text_table *table,
                                             struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_cli_write_json(struct fl_cli *cli, json_t *value,
                                            struct fl_context *ctx);

/* The help of a verb, of a noun, of everything. */
void fl_cli_help_verb(const struct fl_cli_verb *verb, struct fl_buffer *out);
void fl_cli_help_noun(const struct fl_cli_noun *noun, struct fl_buffer *out);
void fl_cli_help(struct fl_buffer *out);
void fl_cli_usage_line(const struct fl_cli_verb *verb, struct fl_buffer *out);

#endif
