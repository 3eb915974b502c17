/* SPDX-License-Identifier: Apache-2.0
 *
 * One line per event on stderr: "2026-11-22T07:19:48.123Z front warn tls: text key=value". The
 * caller passes only printable text (fl_str_printable for anything from outside). Never logs
 * secrets. The writer is a hook, so pure modules can log and tests can listen; by default it writes
 * to stderr.
 */
#ifndef FL_BASE_LOG_H
#define FL_BASE_LOG_H

#include "base/error.h"

enum fl_log_level { FL_LOG_ERROR, FL_LOG_WARN, FL_LOG_INFO, FL_LOG_DEBUG };

/* `process` names the process in every line and must outlive it. */
void fl_log_init(const char *process, enum fl_log_level level);
void fl_log(enum fl_log_level level, const char *tag, const char *format, ...) FL_PRINTF(3, 4);

/* For tests; NULL goes back to stderr. */
void fl_log_set_writer(void (*writer)(enum fl_log_level level, const char *tag, const char *text));

#endif
