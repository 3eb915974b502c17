/* SPDX-License-Identifier: Apache-2.0
 *
 * Bounded, always terminated strings in caller-owned arrays, and the few text forms used
 * everywhere.
 */
#ifndef FL_BASE_STR_H
#define FL_BASE_STR_H

#include "base/error.h"
#include "base/slice.h"

/* Copies as much as fits and terminates; true if everything fitted. `size` is at least 1. A cut
 * never splits a UTF-8 sequence. */
bool fl_str_copy(char *to, size_t size, const char *from);
bool fl_str_copy_slice(char *to, size_t size, struct fl_slice from);

/* Lower-case hexadecimal; `to` holds 2 * s.size + 1. */
void fl_hex(char *to, size_t size, struct fl_slice s);
/* FL_EPARSE: odd length or not hexadecimal; FL_ELIMIT: more than `size` bytes. */
FL_MUST_USE enum fl_error fl_unhex(uint8_t *to, size_t size, struct fl_slice text, size_t *written);

/* Whole decimal number without sign or leading zeros, at most `max`. */
FL_MUST_USE enum fl_error fl_str_to_u64(struct fl_slice text, uint64_t max, uint64_t *value);

/* A device, profile, stream or principal name: 1 to 64 of A-Z a-z 0-9 . _ - , the first a letter or
 * digit. Such a name is safe in topics, paths, URLs, certificates and logs. */
#define FL_NAME_MAX 64
bool fl_name_valid(struct fl_slice name);

/* What makes hostile bytes fit for a log line or a terminal: controls, quotes and non-UTF-8 as
 * \xNN. */
const char *fl_str_printable(char *to, size_t size, struct fl_slice from);

#endif
