/* SPDX-License-Identifier: Apache-2.0
 *
 * The profiles that come with Fairlead (profiles/NAME.profile), inside the program. Unsigned: each
 * hub signs them with a key of its own.
 */
#ifndef FL_CLI_SHIPPED_H
#define FL_CLI_SHIPPED_H

#include "base/slice.h"

struct fl_shipped {
    const char *file; /* "camera.profile" */
    const char *begin;
    const char *end;
};

extern const struct fl_shipped fl_shipped_profiles[];
extern const size_t fl_shipped_profile_count;

#endif
