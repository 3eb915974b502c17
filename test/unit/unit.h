/* SPDX-License-Identifier: Apache-2.0
 *
 * What every unit test includes: cmocka with the headers it wants before it, and checks that read
 * well.
 */
#ifndef FL_TEST_UNIT_H
#define FL_TEST_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/slice.h"

#define assert_ok(call) assert_int_equal((call), FL_OK)
#define assert_slice_equal(slice, text)                                                            \
    do {                                                                                           \
        struct fl_slice unit_slice = (slice);                                                      \
        assert_int_equal(unit_slice.size, strlen(text));                                           \
        assert_memory_equal(unit_slice.data, (text), unit_slice.size);                             \
    } while (0)
#define assert_contains(text, part)                                                                \
    do {                                                                                           \
        if (!strstr((text), (part)))                                                               \
            fail_msg("\"%s\" does not contain \"%s\"", (text), (part));                            \
    } while (0)

#endif
