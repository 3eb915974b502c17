/* SPDX-License-Identifier: Apache-2.0 */
#include "service/heaviest.h"

static bool is_at(const struct fl_heavy *at, struct fl_slice name)
{
    return name.size != 0 && fl_slice_equal(fl_slice(at->name, at->name_size), name);
}

static uint8_t lightest(const struct fl_heaviest *heaviest)
{
    size_t found = 0;

    for (size_t i = 1; i < FL_LIMIT_BUSIEST; i++)
        if (heaviest->places[i].weight < heaviest->places[found].weight)
            found = i;
    return (uint8_t)found;
}

void fl_heaviest_add(struct fl_heaviest *heaviest, struct fl_slice name, uint8_t *place,
                     uint64_t weight, uint64_t other)
{
    struct fl_heavy *at = NULL;

    name.size = name.size < FL_NAME_MAX ? name.size : FL_NAME_MAX;
    if (*place >= FL_LIMIT_BUSIEST || !is_at(&heaviest->places[*place], name)) {
        *place = lightest(heaviest);
        at = &heaviest->places[*place];
        (void)fl_str_copy_slice(at->name, sizeof at->name, name);
        at->name_size = (uint8_t)name.size;
        at->error = at->weight;
        at->other = 0;
    }
    at = &heaviest->places[*place];
    at->weight += weight;
    at->other += other;
    heaviest->total += weight;
}

/* Who left and came back may have two places: together they are still not less than the truth. */
static bool merged(struct fl_heavy *to, size_t count, const struct fl_heavy *one)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_at(&to[i], fl_slice(one->name, one->name_size)))
            continue;
        to[i].weight += one->weight;
        to[i].error += one->error;
        to[i].other += one->other;
        return true;
    }
    return false;
}

size_t fl_heaviest_top(const struct fl_heaviest *heaviest, struct fl_heavy to[FL_LIMIT_BUSIEST])
{
    size_t count = 0;

    for (size_t i = 0; i < FL_LIMIT_BUSIEST; i++) {
        const struct fl_heavy *one = &heaviest->places[i];

        if (one->weight && !merged(to, count, one))
            to[count++] = *one;
    }
    for (size_t i = 1; i < count; i++) {
        struct fl_heavy one = to[i];
        size_t at = i;

        for (; at > 0 && to[at - 1].weight < one.weight; at--)
            to[at] = to[at - 1];
        to[at] = one;
    }
    return count;
}

void fl_heaviest_clear(struct fl_heaviest *heaviest)
{
    *heaviest = (struct fl_heaviest){0};
}
