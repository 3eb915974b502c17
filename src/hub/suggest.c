/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/suggest.h"

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;

    return ab < c ? ab : c;
}

/* Levenshtein, one row; both at most FL_NAME_MAX long. */
static size_t distance_of(const char *a, const char *b)
{
    size_t row[FL_NAME_MAX + 2];
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);

    if (a_size > FL_NAME_MAX || b_size > FL_NAME_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t above = row[j];

            row[j] = least(row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_size];
}

void fl_suggest(struct fl_suggestion *s, const char *candidate)
{
    size_t distance = distance_of(s->wanted, candidate);
    size_t allowed = strlen(s->wanted) / 3 + 1;

    if (distance > allowed || (s->found[0] && distance >= s->distance))
        return;
    s->distance = distance;
    (void)fl_str_copy(s->found, sizeof s->found, candidate);
}
