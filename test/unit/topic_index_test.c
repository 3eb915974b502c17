/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "codec/mqtt.h"
#include "service/topic_index.h"

#include <stdio.h>
#include <stdlib.h>

#define ENTRIES 400
#define WORDS_MAX 64

struct item {
    struct fl_topic_entry entry;
    char words[WORDS_MAX];
    bool in;
    unsigned seen;
};

static uint64_t seed = 0x9E3779B97F4A7C15U;

static uint32_t random_below(uint32_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 20) % limit;
}

static void random_words(char to[WORDS_MAX], bool filter)
{
    static const char *const levels[] = {"a", "b", "", "$s", "cc", "+", "#"};
    size_t used = 0;
    uint32_t count = 1 + random_below(5);

    to[0] = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t pick = random_below(filter ? 7 : 5);
        if (pick == 6 && i + 1 < count)
            pick = 5;
        used += (size_t)snprintf(to + used, WORDS_MAX - used, "%s%s", i ? "/" : "", levels[pick]);
    }
    if (to[0] == 0)
        (void)snprintf(to, WORDS_MAX, "a");
}

static void count_visit(void *self, struct fl_topic_entry *entry)
{
    (void)self;
    fl_container_of(entry, struct item, entry)->seen++;
}

/* The clever tree against the obvious list: `filters` says what is stored. */
static void compare(const struct fl_topic_index *index, struct item *items, bool filters)
{
    char question[WORDS_MAX];

    random_words(question, !filters);
    for (size_t i = 0; i < ENTRIES; i++)
        items[i].seen = 0;
    if (filters)
        fl_topic_index_match(index, fl_slice_str(question), count_visit, NULL);
    else
        fl_topic_index_search(index, fl_slice_str(question), count_visit, NULL);
    for (size_t i = 0; i < ENTRIES; i++) {
        struct fl_slice words = fl_slice_str(items[i].words);
        struct fl_slice asked = fl_slice_str(question);
        bool matches = items[i].in && (filters ? fl_mqtt_topic_matches(words, asked)
                                               : fl_mqtt_topic_matches(asked, words));
        if (items[i].seen != (unsigned)matches)
            fail_msg("stored %s, asked %s: seen %u", items[i].words, question, items[i].seen);
    }
}

static void churn(bool filters)
{
    struct fl_topic_index index;
    struct item *items = calloc(ENTRIES, sizeof *items);

    assert_non_null(items);
    assert_ok(fl_topic_index_init(&index));
    for (int round = 0; round < 4000; round++) {
        struct item *item = &items[random_below(ENTRIES)];
        if (item->in) {
            fl_topic_index_remove(&index, &item->entry);
        } else {
            random_words(item->words, filters);
            assert_ok(fl_topic_index_add(&index, fl_slice_str(item->words), &item->entry));
        }
        item->in = !item->in;
        if (round % 4 == 0)
            compare(&index, items, filters);
    }
    for (size_t i = 0; i < ENTRIES; i++)
        if (items[i].in) {
            assert_non_null(fl_topic_index_first(&index, fl_slice_str(items[i].words)));
            fl_topic_index_remove(&index, &items[i].entry);
        }
    assert_int_equal(index.nodes.count, 0);
    fl_topic_index_free(&index);
    free(items);
}

static void filters_are_found_as_a_plain_list_would_find_them(void **state)
{
    (void)state;
    churn(true);
}

static void topics_are_found_as_a_plain_list_would_find_them(void **state)
{
    (void)state;
    churn(false);
}

static void depth_and_length_are_bounded_and_leave_nothing_behind(void **state)
{
    struct fl_topic_index index;
    struct fl_topic_entry entry = {0};
    static char deep[FL_LIMIT_MQTT_TOPIC + 2];
    (void)state;

    assert_ok(fl_topic_index_init(&index));
    memset(deep, '/', FL_LIMIT_MQTT_TOPIC_LEVELS);
    assert_int_equal(fl_topic_index_add(&index, fl_slice(deep, FL_LIMIT_MQTT_TOPIC_LEVELS), &entry),
                     FL_ELIMIT);
    assert_int_equal(index.nodes.count, 0);
    assert_ok(fl_topic_index_add(&index, fl_slice(deep, FL_LIMIT_MQTT_TOPIC_LEVELS - 1), &entry));
    fl_topic_index_remove(&index, &entry);
    fl_topic_index_remove(&index, &entry);
    memset(deep, 'x', FL_LIMIT_MQTT_TOPIC + 1);
    assert_int_equal(fl_topic_index_add(&index, fl_slice(deep, FL_LIMIT_MQTT_TOPIC + 1), &entry),
                     FL_ELIMIT);
    assert_ok(fl_topic_index_add(&index, fl_slice(deep, FL_LIMIT_MQTT_TOPIC), &entry));
    fl_topic_index_match(&index, fl_slice(deep, FL_LIMIT_MQTT_TOPIC + 1), count_visit, NULL);
    fl_topic_index_free(&index);
}

static void add(struct fl_topic_index *index, struct item *item, const char *words)
{
    (void)snprintf(item->words, WORDS_MAX, "%s", words);
    assert_ok(fl_topic_index_add(index, fl_slice_str(item->words), &item->entry));
    assert_ptr_equal(fl_topic_index_first(index, fl_slice_str(words)), &item->entry);
}

static void what_topics_do_not_share_costs_one_node_each(void **state)
{
    struct fl_topic_index index;
    static struct item items[102];
    char words[WORDS_MAX];
    (void)state;

    memset(items, 0, sizeof items);
    assert_ok(fl_topic_index_init(&index));
    add(&index, &items[100], "load/device/x");
    assert_int_equal(index.nodes.count, 1);
    for (size_t i = 0; i < 100; i++) {
        (void)snprintf(words, sizeof words, "load/device/%zu/deep/state", i);
        add(&index, &items[i], words);
    }
    assert_int_equal(index.nodes.count, 2 + 101); /* what is shared: load, device */
    /* The words of another may end or go on in the middle of a node's. */
    add(&index, &items[101], "load/device/7");
    assert_int_equal(index.nodes.count, 2 + 101 + 1);
    fl_topic_index_remove(&index, &items[101].entry);
    add(&index, &items[101], "load/device/7/deep/other");
    assert_int_equal(index.nodes.count, 2 + 101 + 3);
    assert_ptr_equal(fl_topic_index_first(&index, fl_slice_str("load/device/7/deep/state")),
                     &items[7].entry);
    assert_null(fl_topic_index_first(&index, fl_slice_str("load/device/7/deep")));
    assert_null(fl_topic_index_first(&index, fl_slice_str("load/device/8/deep")));
    assert_null(fl_topic_index_first(&index, fl_slice_str("load/device/8/deep/state/more")));
    for (size_t i = 0; i < 102; i++)
        fl_topic_index_remove(&index, &items[i].entry);
    assert_int_equal(index.nodes.count, 0);
    fl_topic_index_free(&index);
}

static void entries_of_one_place_are_visited_and_leave_in_any_order(void **state)
{
    struct fl_topic_index index;
    static struct item items[3];
    static const size_t orders[][3] = {{0, 1, 2}, {1, 0, 2}, {2, 1, 0}, {0, 2, 1}};
    (void)state;

    assert_ok(fl_topic_index_init(&index));
    for (size_t o = 0; o < 4; o++) {
        memset(items, 0, sizeof items);
        for (size_t i = 0; i < 3; i++)
            assert_ok(fl_topic_index_add(&index, fl_slice_str("a/+/c/#"), &items[i].entry));
        for (size_t gone = 0; gone < 3; gone++) {
            for (size_t i = 0; i < 3; i++)
                items[i].seen = 0;
            fl_topic_index_match(&index, fl_slice_str("a/b/c"), count_visit, NULL);
            for (size_t i = 0; i < 3; i++)
                assert_int_equal(items[orders[o][i]].seen, i >= gone);
            fl_topic_index_remove(&index, &items[orders[o][gone]].entry);
        }
        assert_int_equal(index.nodes.count, 0);
    }
    fl_topic_index_free(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_are_found_as_a_plain_list_would_find_them),
        cmocka_unit_test(topics_are_found_as_a_plain_list_would_find_them),
        cmocka_unit_test(what_topics_do_not_share_costs_one_node_each),
        cmocka_unit_test(entries_of_one_place_are_visited_and_leave_in_any_order),
        cmocka_unit_test(depth_and_length_are_bounded_and_leave_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
