/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/shipped.h"

/* The same list is in shipped_profiles.S. */
#define SHIPPED(X) X(camera) X(meter) X(thermostat)

#define SHIPPED_DECLARE(name)                                                                      \
    extern const char fl_shipped_##name[];                                                         \
    extern const char fl_shipped_##name##_end[];
SHIPPED(SHIPPED_DECLARE)

const struct fl_shipped fl_shipped_profiles[] = {
#define SHIPPED_ROW(name) {#name ".profile", fl_shipped_##name, fl_shipped_##name##_end},
    SHIPPED(SHIPPED_ROW)};

const size_t fl_shipped_profile_count = sizeof fl_shipped_profiles / sizeof fl_shipped_profiles[0];
