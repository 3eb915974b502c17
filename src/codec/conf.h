/* SPDX-License-Identifier: Apache-2.0
 *
 * The one block syntax for what people write: hub.conf, agent.conf, profiles, later pipelines.
 *
 *     # a comment to the end of the line
 *     profile camera {                 a statement: words, then a block or the end of the line
 *         title "Indoor camera"        a word in quotes: \" \\ \n \t \u{1F600}
 *         publish d/{device}/t/#       braces and '#' inside a word are part of it
 *     }                                '{' ends its line, '}' has a line of its own
 *
 * UTF-8 only; CR LF is read as LF; a tab counts as one column. Columns count characters from 1.
 * Every error says NAME:LINE:COLUMN and what was expected. A tree lives in one allocation that the
 * caller frees; slices point into it, not into the text. Pure but for that allocation.
 */
#ifndef FL_CODEC_CONF_H
#define FL_CODEC_CONF_H

#include "base/buffer.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"

struct fl_conf_word {
    struct fl_slice text; /* unescaped, UTF-8 */
    uint32_t column;
};

struct fl_conf_node {
    const struct fl_conf_word *words; /* the first is the statement's name */
    uint32_t word_count;
    uint32_t line;
    bool has_block;
    bool has_comment;                 /* after its words, on the same line: for hints */
    const struct fl_conf_node *child; /* first of its block, or NULL */
    const struct fl_conf_node *next;  /* sibling, or NULL */
};

struct fl_conf {
    struct fl_conf_node *root; /* no words; its children are the top statements */
    char name[256];            /* of the file, for messages */
    void *memory;
};

/* `name` is the file's name for messages. */
FL_MUST_USE enum fl_error fl_conf_parse(struct fl_slice text, const char *name,
                                        struct fl_conf *conf, struct fl_context *ctx);
void fl_conf_free(struct fl_conf *conf); /* NULL and twice are harmless */

/* "NAME:LINE:COLUMN: " and the message; word 0 is the statement itself. Returns FL_EPARSE. */
enum fl_error fl_conf_fail(const struct fl_conf *conf, const struct fl_conf_node *node,
                           uint32_t word, struct fl_context *ctx, const char *format, ...)
    FL_PRINTF(5, 6);

/* A word made fit for a message: printable, and cut when long. Returns `to`. */
#define FL_CONF_SHOWN 64
const char *fl_conf_shown(char to[FL_CONF_SHOWN], struct fl_slice text);

/* One allowed statement of a block, for fl_conf_check. */
struct fl_conf_rule {
    const char *name;
    uint32_t words_min; /* after the name */
    uint32_t words_max;
    enum { FL_CONF_NO_BLOCK, FL_CONF_BLOCK, FL_CONF_BLOCK_OPTIONAL } block;
    bool required;
    bool repeats;
    const char *usage; /* "range MIN MAX", shown when it is used wrongly */
};

/* Checks every statement of `block` against the rules: unknown names (with a "did you mean"), too
 * few or too many words, a block where none belongs, repeated or missing statements. Rules end with
 * a NULL name. */
FL_MUST_USE enum fl_error fl_conf_check(const struct fl_conf *conf,
                                        const struct fl_conf_node *block,
                                        const struct fl_conf_rule *rules, struct fl_context *ctx);

/* The first child statement of that name, or NULL; fl_conf_next continues with the same name. */
const struct fl_conf_node *fl_conf_find(const struct fl_conf_node *block, const char *name);
const struct fl_conf_node *fl_conf_next(const struct fl_conf_node *node);

/* Typed words; errors point at the word. */
FL_MUST_USE enum fl_error fl_conf_u64(const struct fl_conf *conf, const struct fl_conf_node *node,
                                      uint32_t word, uint64_t min, uint64_t max, uint64_t *value,
                                      struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_conf_double(const struct fl_conf *conf,
                                         const struct fl_conf_node *node, uint32_t word,
                                         double *value, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_conf_duration(const struct fl_conf *conf,
                                           const struct fl_conf_node *node, uint32_t word,
                                           fl_time_t *value, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_conf_name(const struct fl_conf *conf, const struct fl_conf_node *node,
                                       uint32_t word, char to[FL_NAME_MAX + 1],
                                       struct fl_context *ctx);
/* "2031-12-31" */
FL_MUST_USE enum fl_error fl_conf_date(const struct fl_conf *conf, const struct fl_conf_node *node,
                                       uint32_t word, fl_time_t *value, struct fl_context *ctx);

#endif
