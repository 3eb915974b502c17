/* SPDX-License-Identifier: Apache-2.0
 *
 * Time as data. Modules take the time as an argument; only io/clock reads a clock. `fl_time_t` is
 * milliseconds, either since the epoch (UTC, for records) or since an arbitrary start (monotonic,
 * for timers): the parameter's comment says which.
 */
#ifndef FL_BASE_TIME_H
#define FL_BASE_TIME_H

#include "base/error.h"
#include "base/slice.h"

typedef int64_t fl_time_t;

#define FL_TIME_NEVER INT64_MAX
#define FL_TIME_TEXT_MAX 32 /* "2026-11-22T07:19:48.123Z" and its terminator */

/* RFC 3339, UTC, milliseconds when there are any ("2026-11-22T07:19:48Z"). Years 0001 to 9999;
 * outside them the nearest is shown. Returns `to`. */
const char *fl_time_format(fl_time_t t, char to[FL_TIME_TEXT_MAX]);

/* RFC 3339 with any offset; up to nine fraction digits, cut to milliseconds. */
FL_MUST_USE enum fl_error fl_time_parse(struct fl_slice text, fl_time_t *t);

/* "90s", "15m", "1h", "7d", "1h30m", "250ms" into milliseconds; whole units, largest first, no
 * sign. FL_ELIMIT: over 100 years. */
FL_MUST_USE enum fl_error fl_duration_parse(struct fl_slice text, fl_time_t *duration);

/* The shortest such form with at most two units: "1h30m". Returns `to`. */
const char *fl_duration_format(fl_time_t duration, char to[FL_TIME_TEXT_MAX]);

#endif
