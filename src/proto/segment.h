/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of the numbered files that the outbox and the journal write: PREFIX, the number as 16
 * hexadecimal digits, ".seg". Names sort as their numbers do.
 */
#ifndef FL_PROTO_SEGMENT_H
#define FL_PROTO_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#define FL_SEGMENT_NAME_MAX 32 /* with its NUL */

void fl_segment_name(char to[FL_SEGMENT_NAME_MAX], const char *prefix, uint64_t number);

/* False when it is not a name that fl_segment_name() makes, or the number is 0. */
bool fl_segment_name_parse(const char *name, const char *prefix, uint64_t *number);

#endif
