/* SPDX-License-Identifier: Apache-2.0
 *
 * "Did you mean ...?": the candidate that is closest to what was asked for, when one is close
 * enough to be a slip of the finger.
 */
#ifndef FL_HUB_SUGGEST_H
#define FL_HUB_SUGGEST_H

#include "base/str.h"

struct fl_suggestion {
    const char *wanted;
    char found[FL_NAME_MAX + 1]; /* empty: none is close */
    size_t distance;
};

void fl_suggest(struct fl_suggestion *suggestion, const char *candidate);

#endif
