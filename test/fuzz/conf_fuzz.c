/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a configuration: the parser either gives a tree whose every word is UTF-8 and within
 * the limits, or an error that names a place; the checks and typed words survive any tree.
 */
#include "codec/conf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fl_conf_rule rules[] = {
    {.name = "profile", .words_min = 1, .words_max = 1, .block = FL_CONF_BLOCK, .usage = "x"},
    {.name = "title", .words_min = 1, .words_max = 2, .required = true},
    {.name = "publish", .words_min = 1, .words_max = 1, .repeats = true},
    {.name = "flag", .block = FL_CONF_BLOCK_OPTIONAL},
    {0},
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_word(const struct fl_conf *conf, const struct fl_conf_node *node, uint32_t word)
{
    struct fl_context ctx = {0};
    char name[FL_NAME_MAX + 1];
    fl_time_t time = 0;
    uint64_t number = 0;
    double real = 0;

    (void)!fl_conf_u64(conf, node, word, 1, 1000, &number, &ctx);
    (void)!fl_conf_double(conf, node, word, &real, &ctx);
    (void)!fl_conf_duration(conf, node, word, &time, &ctx);
    (void)!fl_conf_date(conf, node, word, &time, &ctx);
    (void)!fl_conf_name(conf, node, word, name, &ctx);
    require(fl_slice_is_utf8(fl_slice_str(ctx.text)));
}

static size_t walk(const struct fl_conf *conf, const struct fl_conf_node *block, int depth)
{
    struct fl_context ctx = {0};
    size_t count = 0;

    require(depth <= FL_LIMIT_CONF_DEPTH);
    (void)!fl_conf_check(conf, block, rules, &ctx);
    for (const struct fl_conf_node *node = block->child; node; node = node->next) {
        require(node->word_count >= 1 && node->word_count <= FL_LIMIT_CONF_WORDS);
        require(node->has_block || !node->child);
        for (uint32_t i = 0; i < node->word_count; i++) {
            require(node->words[i].text.size <= FL_LIMIT_CONF_WORD);
            require(fl_slice_is_utf8(node->words[i].text));
        }
        check_word(conf, node, node->word_count - 1);
        check_word(conf, node, node->word_count);
        count += 1 + (node->has_block ? walk(conf, node, depth + 1) : 0);
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_conf conf = {0};
    struct fl_context ctx = {0};

    if (fl_conf_parse(fl_slice(data, size), "f", &conf, &ctx) != FL_OK) {
        require(ctx.text[0] == 'f' && ctx.text[1] == ':');
        return 0;
    }
    require(walk(&conf, conf.root, 0) <= FL_LIMIT_CONF_NODES);
    fl_conf_free(&conf);
    return 0;
}
