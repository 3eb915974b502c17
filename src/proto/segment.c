/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/segment.h"

#include "base/endian.h"
#include "base/str.h"

#include <stdio.h>

#define SUFFIX ".seg"
#define DIGITS 16

void fl_segment_name(char to[FL_SEGMENT_NAME_MAX], const char *prefix, uint64_t number)
{
    (void)snprintf(to, FL_SEGMENT_NAME_MAX, "%s%016llx" SUFFIX, prefix, (unsigned long long)number);
}

bool fl_segment_name_parse(const char *name, const char *prefix, uint64_t *number)
{
    char again[FL_SEGMENT_NAME_MAX];
    uint8_t bytes[DIGITS / 2];
    size_t size = 0;

    if (strlen(name) != strlen(prefix) + DIGITS + strlen(SUFFIX) ||
        fl_unhex(bytes, sizeof bytes, fl_slice(name + strlen(prefix), DIGITS), &size) != FL_OK)
        return false;
    *number = fl_get_be64(bytes);
    fl_segment_name(again, prefix, *number);
    return strcmp(again, name) == 0 && *number > 0;
}
