/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/conf.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

/* The text is read twice by the same code: first to check it and to count nodes, words and bytes,
 * then to fill the one allocation that holds exactly these. */
struct level {
    struct fl_conf_node *node;
    struct fl_conf_node *last; /* its last child so far */
    struct fl_slice name;
    uint32_t line;
};

struct parser {
    struct fl_slice text;
    size_t at;
    uint32_t line;
    uint32_t column;
    const char *name;
    struct fl_context *ctx;
    struct fl_conf_node *nodes; /* these three are NULL while counting */
    struct fl_conf_word *words;
    uint8_t *bytes;
    size_t node_count;
    size_t word_count;
    size_t byte_count;
    struct level levels[FL_LIMIT_CONF_DEPTH + 1]; /* 0 is the top */
    size_t depth;
};

static enum fl_error vfail_at(const char *name, uint32_t line, uint32_t column,
                              struct fl_context *ctx, enum fl_error error, const char *format,
                              va_list args) FL_PRINTF(6, 0);

static enum fl_error vfail_at(const char *name, uint32_t line, uint32_t column,
                              struct fl_context *ctx, enum fl_error error, const char *format,
                              va_list args)
{
    char message[sizeof ctx->text];

    (void)vsnprintf(message, sizeof message, format, args);
    return fl_fail(ctx, error, "%s:%u:%u: %s", name, line, column, message);
}

/* At the reading position. */
static enum fl_error fail_here(const struct parser *p, enum fl_error error, const char *format, ...)
    FL_PRINTF(3, 4);

static enum fl_error fail_here(const struct parser *p, enum fl_error error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    error = vfail_at(p->name, p->line, p->column, p->ctx, error, format, args);
    va_end(args);
    return error;
}

const char *fl_conf_shown(char to[FL_CONF_SHOWN], struct fl_slice text)
{
    char cut[FL_CONF_SHOWN / 2];

    (void)fl_str_copy_slice(cut, sizeof cut, text);
    return fl_str_printable(to, FL_CONF_SHOWN, fl_slice_str(cut));
}

/* --- characters --- */

static bool at_end(const struct parser *p)
{
    return p->at == p->text.size;
}

static uint8_t peek(const struct parser *p)
{
    return at_end(p) ? '\n' : p->text.data[p->at];
}

static size_t sequence_size(uint8_t first)
{
    return first < 0x80 ? 1 : (first < 0xE0 ? 2 : (first < 0xF0 ? 3 : 4));
}

static void advance(struct parser *p)
{
    p->at += sequence_size(p->text.data[p->at]);
    p->column++;
}

static bool at_line_end(const struct parser *p)
{
    return peek(p) == '\n' || peek(p) == '\r';
}

static bool at_word_end(const struct parser *p)
{
    return at_line_end(p) || peek(p) == ' ' || peek(p) == '\t';
}

static void skip_blanks(struct parser *p)
{
    while (peek(p) == ' ' || peek(p) == '\t')
        advance(p);
}

/* After blanks: is nothing left on this line but a comment? */
static bool nothing_follows(struct parser *p)
{
    skip_blanks(p);
    return at_line_end(p) || peek(p) == '#';
}

static uint32_t decode(const uint8_t *at, size_t size)
{
    uint32_t value = size == 1 ? at[0] : at[0] & (0x7FU >> size);

    for (size_t i = 1; i < size; i++)
        value = value << 6 | (at[i] & 0x3FU);
    return value;
}

/* Characters that make a text look different from what it says: they must be written as \u{...}. */
static bool is_deceptive(uint32_t c)
{
    return (c >= 0x80 && c < 0xA0) || c == 0x061C || (c >= 0x200B && c <= 0x200F) ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x2069) || c == 0xFEFF;
}

static enum fl_error check_character(struct parser *p)
{
    const uint8_t *at = p->text.data + p->at;
    size_t left = p->text.size - p->at;
    size_t size = sequence_size(at[0]);
    uint32_t c = 0;

    if (size > left || !fl_slice_is_utf8(fl_slice(at, size)))
        return fail_here(p, FL_EPARSE, "the byte 0x%02x is not UTF-8: save the file as UTF-8",
                         at[0]);
    c = decode(at, size);
    if (c == '\r' && (left < 2 || at[1] != '\n'))
        return fail_here(p, FL_EPARSE, "a carriage return without a line feed after it");
    if ((c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7F)
        return fail_here(p, FL_EPARSE, "the control character 0x%02x: remove it%s", c,
                         c ? ", or write it as \\u{...} in quotes" : "");
    if (c == 0xFEFF && p->at == 0)
        return fail_here(p, FL_EPARSE, "a byte order mark: save the file as UTF-8 without one");
    if (is_deceptive(c))
        return fail_here(p, FL_EPARSE,
                         "the invisible character U+%04X: write it as \\u{%x} in "
                         "quotes, or remove it",
                         c, c);
    return FL_OK;
}

static enum fl_error check_characters(struct parser *p)
{
    enum fl_error error = FL_OK;

    while (!at_end(p)) {
        error = check_character(p);
        if (error != FL_OK)
            return error;
        if (peek(p) == '\n') {
            p->at++;
            p->line++;
            p->column = 1;
        } else {
            advance(p);
        }
    }
    return FL_OK;
}

/* --- words --- */

static void put_byte(struct parser *p, uint8_t byte)
{
    if (p->bytes)
        p->bytes[p->byte_count] = byte;
    p->byte_count++;
}

static void put_character(struct parser *p, uint32_t c)
{
    if (c < 0x80) {
        put_byte(p, (uint8_t)c);
        return;
    }
    if (c < 0x800) {
        put_byte(p, (uint8_t)(0xC0 | c >> 6));
    } else {
        if (c < 0x10000) {
            put_byte(p, (uint8_t)(0xE0 | c >> 12));
        } else {
            put_byte(p, (uint8_t)(0xF0 | c >> 18));
            put_byte(p, (uint8_t)(0x80 | (c >> 12 & 0x3F)));
        }
        put_byte(p, (uint8_t)(0x80 | (c >> 6 & 0x3F)));
    }
    put_byte(p, (uint8_t)(0x80 | (c & 0x3F)));
}

static void copy_character(struct parser *p)
{
    size_t size = sequence_size(peek(p));

    for (size_t i = 0; i < size; i++)
        put_byte(p, p->text.data[p->at + i]);
    advance(p);
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* At the '{' of \u{1F600}. */
static enum fl_error parse_unicode(struct parser *p)
{
    uint32_t value = 0;
    int digits = 0;

    if (peek(p) != '{')
        return fail_here(p, FL_EPARSE, "expected '{' as in \\u{e9}");
    advance(p);
    for (; hex_value(peek(p)) >= 0 && digits < 7; digits++) {
        value = value << 4 | (uint32_t)hex_value(peek(p));
        advance(p);
    }
    if (digits == 0 || digits > 6 || peek(p) != '}')
        return fail_here(p, FL_EPARSE, "expected 1 to 6 hexadecimal digits and '}' as in \\u{e9}");
    if (value == 0 || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return fail_here(p, FL_EPARSE, "U+%04X is not a character that a text may have", value);
    advance(p);
    put_character(p, value);
    return FL_OK;
}

/* At the character after the backslash. */
static enum fl_error parse_escape(struct parser *p)
{
    static const char names[] = "\"\\nt";
    static const char values[] = "\"\\\n\t";
    const char *found = NULL;

    if (peek(p) == 'u') {
        advance(p);
        return parse_unicode(p);
    }
    found = memchr(names, peek(p), sizeof names - 1);
    if (!found || at_line_end(p))
        return fail_here(p, FL_EPARSE, "unknown escape: write \\\" \\\\ \\n \\t or \\u{e9}");
    put_byte(p, (uint8_t)values[found - names]);
    advance(p);
    return FL_OK;
}

static enum fl_error parse_quoted(struct parser *p)
{
    uint32_t column = p->column;
    enum fl_error error = FL_OK;

    advance(p);
    while (error == FL_OK && peek(p) != '"') {
        if (at_line_end(p)) {
            p->column = column;
            return fail_here(p, FL_EPARSE,
                             "the quote is not closed on this line (a line break is "
                             "written \\n)");
        }
        if (peek(p) == '\\') {
            advance(p);
            error = parse_escape(p);
        } else {
            copy_character(p);
        }
    }
    if (error != FL_OK)
        return error;
    advance(p);
    if (!at_word_end(p))
        return fail_here(p, FL_EPARSE, "expected a blank after the closing quote");
    return FL_OK;
}

static enum fl_error parse_bare(struct parser *p)
{
    size_t start = p->at;
    uint32_t column = p->column;
    int open = 0;
    bool balanced = true;

    for (; !at_word_end(p); copy_character(p)) {
        uint8_t c = peek(p);
        if (c == '"')
            return fail_here(p, FL_EPARSE, "a quote inside a word: put the whole word in quotes");
        if (c == '\\')
            return fail_here(p, FL_EPARSE,
                             "a backslash outside quotes: put the word in quotes and "
                             "write it \\\\");
        open += c == '{' ? 1 : (c == '}' ? -1 : 0);
        balanced = balanced && open >= 0;
    }
    if (balanced && open == 0 && !fl_slice_is(fl_slice(p->text.data + start, p->at - start), "{}"))
        return FL_OK;
    if (open > 0 && p->text.data[p->at - 1] == '{') {
        p->column--;
        return fail_here(p, FL_EPARSE, "expected a blank before '{'");
    }
    p->column = column;
    return fail_here(p, FL_EPARSE,
                     "braces that do not belong to the word: a block begins with '{' "
                     "at the end of a line and ends with '}' on a line of its own");
}

static enum fl_error parse_word(struct parser *p, uint32_t index)
{
    size_t first_byte = p->byte_count;
    struct parser before = *p;
    enum fl_error error = FL_OK;

    if (index == FL_LIMIT_CONF_WORDS)
        return fail_here(p, FL_ELIMIT, "more than %d words in one statement", FL_LIMIT_CONF_WORDS);
    if (peek(p) == '"' && index == 0)
        return fail_here(p, FL_EPARSE, "a statement begins with its name, without quotes");
    error = peek(p) == '"' ? parse_quoted(p) : parse_bare(p);
    if (error != FL_OK)
        return error;
    if (p->byte_count - first_byte > FL_LIMIT_CONF_WORD)
        return fail_here(&before, FL_ELIMIT, "a word of more than %d bytes", FL_LIMIT_CONF_WORD);
    if (p->words)
        p->words[p->word_count] = (struct fl_conf_word){
            .text = fl_slice(p->bytes + first_byte, p->byte_count - first_byte),
            .column = before.column,
        };
    p->word_count++;
    return FL_OK;
}

/* --- statements --- */

static bool at_brace(const struct parser *p, uint8_t brace)
{
    struct parser next = *p;

    if (peek(p) != brace || at_end(p))
        return false;
    advance(&next);
    return at_word_end(&next);
}

/* The name of the statement that begins here, for the message about a block left open. */
static struct fl_slice name_here(const struct parser *p)
{
    size_t end = p->at;

    while (end < p->text.size && p->text.data[end] > ' ')
        end++;
    return fl_slice(p->text.data + p->at, end - p->at);
}

static enum fl_error close_block(struct parser *p)
{
    if (p->depth == 0)
        return fail_here(p, FL_EPARSE, "'}' closes nothing: no block is open");
    advance(p);
    if (!nothing_follows(p))
        return fail_here(p, FL_EPARSE, "expected the end of the line after '}'");
    p->depth--;
    return FL_OK;
}

static enum fl_error open_block(struct parser *p, struct fl_conf_node *node, struct fl_slice name)
{
    uint32_t line = p->line;

    if (p->depth == FL_LIMIT_CONF_DEPTH)
        return fail_here(p, FL_ELIMIT, "blocks nested deeper than %d", FL_LIMIT_CONF_DEPTH);
    advance(p);
    if (!nothing_follows(p))
        return fail_here(p, FL_EPARSE,
                         "expected the end of the line after '{': each statement of "
                         "a block has a line of its own");
    p->depth++;
    p->levels[p->depth] = (struct level){.node = node, .name = name, .line = line};
    if (node)
        node->has_block = true;
    return FL_OK;
}

static struct fl_conf_node *add_node(struct parser *p)
{
    struct fl_conf_node *node = NULL;
    struct level *level = &p->levels[p->depth];

    if (p->nodes) {
        node = &p->nodes[p->node_count];
        *node = (struct fl_conf_node){.words = p->words + p->word_count, .line = p->line};
        if (level->last)
            level->last->next = node;
        else
            level->node->child = node;
        level->last = node;
    }
    p->node_count++;
    return node;
}

static enum fl_error parse_statement(struct parser *p)
{
    struct fl_slice name = name_here(p);
    struct fl_conf_node *node = NULL;
    enum fl_error error = FL_OK;

    if (at_brace(p, '{'))
        return fail_here(p, FL_EPARSE, "expected a statement's name before '{'");
    if (p->node_count > FL_LIMIT_CONF_NODES)
        return fail_here(p, FL_ELIMIT, "more than %d statements", FL_LIMIT_CONF_NODES);
    node = add_node(p);
    for (uint32_t index = 0; !nothing_follows(p); index++) {
        if (at_brace(p, '{'))
            return open_block(p, node, name);
        if (at_brace(p, '}'))
            return fail_here(p, FL_EPARSE, "'}' goes on a line of its own");
        error = parse_word(p, index);
        if (error != FL_OK)
            return error;
        if (node)
            node->word_count = index + 1;
    }
    if (node)
        node->has_comment = peek(p) == '#';
    return FL_OK;
}

static enum fl_error parse_lines(struct parser *p)
{
    enum fl_error error = FL_OK;

    p->at = 0;
    p->line = 1;
    p->column = 1;
    p->node_count = 1; /* the root */
    p->word_count = 0;
    p->byte_count = 0;
    p->levels[0] = (struct level){.node = p->nodes};
    for (;;) {
        if (!nothing_follows(p))
            error = at_brace(p, '}') ? close_block(p) : parse_statement(p);
        if (error != FL_OK)
            return error;
        while (!at_end(p) && peek(p) != '\n')
            advance(p);
        if (at_end(p))
            break;
        p->at++;
        p->line++;
        p->column = 1;
    }
    if (p->depth > 0) {
        char text[FL_CONF_SHOWN];
        const struct level *open = &p->levels[p->depth];
        return fail_here(p, FL_EPARSE, "expected '}': the block '%s' of line %u is still open",
                         fl_conf_shown(text, open->name), open->line);
    }
    return FL_OK;
}

enum fl_error fl_conf_parse(struct fl_slice text, const char *name, struct fl_conf *conf,
                            struct fl_context *ctx)
{
    struct parser p = {.text = text, .line = 1, .column = 1, .ctx = ctx};
    size_t words_size = 0;
    size_t nodes_size = 0;
    uint8_t *memory = NULL;
    enum fl_error error = FL_OK;

    *conf = (struct fl_conf){0};
    (void)fl_str_printable(conf->name, sizeof conf->name, fl_slice_str(name));
    p.name = conf->name;
    if (text.size > FL_LIMIT_CONF_SIZE)
        return fl_fail(ctx, FL_ELIMIT, "%s: %zu bytes: at most %d", conf->name, text.size,
                       FL_LIMIT_CONF_SIZE);
    error = check_characters(&p);
    if (error == FL_OK)
        error = parse_lines(&p);
    if (error != FL_OK)
        return error;

    nodes_size = p.node_count * sizeof *p.nodes;
    words_size = p.word_count * sizeof *p.words;
    memory = calloc(1, nodes_size + words_size + p.byte_count);
    if (!memory)
        return fl_fail(ctx, FL_ENOMEM, "%s: out of memory", conf->name);
    conf->memory = memory;
    conf->root = (struct fl_conf_node *)(void *)memory;
    p.nodes = conf->root;
    p.words = (struct fl_conf_word *)(void *)(memory + nodes_size);
    p.bytes = memory + nodes_size + words_size;
    error = parse_lines(&p);
    fl_assert(error == FL_OK);
    return FL_OK;
}

void fl_conf_free(struct fl_conf *conf)
{
    if (!conf)
        return;
    free(conf->memory);
    conf->memory = NULL;
    conf->root = NULL;
}

enum fl_error fl_conf_fail(const struct fl_conf *conf, const struct fl_conf_node *node,
                           uint32_t word, struct fl_context *ctx, const char *format, ...)
{
    uint32_t line = node->line ? node->line : 1;
    uint32_t column = 1;
    va_list args;

    if (node->word_count > 0)
        column = node->words[word < node->word_count ? word : node->word_count - 1].column;
    va_start(args, format);
    (void)vfail_at(conf->name, line, column, ctx, FL_EPARSE, format, args);
    va_end(args);
    return FL_EPARSE;
}

const struct fl_conf_node *fl_conf_find(const struct fl_conf_node *block, const char *name)
{
    for (const struct fl_conf_node *node = block->child; node; node = node->next)
        if (fl_slice_is(node->words[0].text, name))
            return node;
    return NULL;
}

const struct fl_conf_node *fl_conf_next(const struct fl_conf_node *node)
{
    struct fl_slice name = node->words[0].text;

    for (node = node->next; node; node = node->next)
        if (fl_slice_equal(node->words[0].text, name))
            return node;
    return NULL;
}
