/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON as the command prints it: one line, members in the order they came, numbers as short as they
 * can be without being another number (21.3, not 21.300000000000001), and nothing in strings that a
 * terminal would act on. And members of an answer read without surprise: a missing one, or one of
 * another type, is "" or 0.
 */
#ifndef FL_CLI_JSON_H
#define FL_CLI_JSON_H

#include "base/buffer.h"

#include <jansson.h>

enum fl_error fl_json_print(json_t *value, struct fl_buffer *out);

#define FL_NUMBER_TEXT 32
/* The shortest decimal that reads back as `number`. Returns `to`. */
const char *fl_number_format(double number, char to[FL_NUMBER_TEXT]);

const char *fl_json_text(const json_t *object, const char *member);
int64_t fl_json_int(const json_t *object, const char *member);
double fl_json_number(const json_t *object, const char *member);
bool fl_json_true(const json_t *object, const char *member);

#endif
