/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

const char *fl_error_words(enum fl_error error)
{
    switch (error) {
#define FL_ERROR_WORDS(name, value, words)                                                         \
    case name:                                                                                     \
        return words;
        FL_ERRORS(FL_ERROR_WORDS)
#undef FL_ERROR_WORDS
    }
    return "unknown error";
}

enum fl_error fl_fail(struct fl_context *ctx, enum fl_error error, const char *format, ...)
{
    va_list args;

    if (!ctx)
        return error;
    va_start(args, format);
    (void)vsnprintf(ctx->text, sizeof ctx->text, format, args);
    va_end(args);
    return error;
}

enum fl_error fl_fail_in(struct fl_context *ctx, enum fl_error error, const char *format, ...)
{
    char inner[sizeof ctx->text];
    size_t used = 0;
    va_list args;

    if (!ctx || error == FL_OK)
        return error;
    memcpy(inner, ctx->text, sizeof inner);
    va_start(args, format);
    (void)vsnprintf(ctx->text, sizeof ctx->text, format, args);
    va_end(args);
    used = strlen(ctx->text);
    (void)snprintf(ctx->text + used, sizeof ctx->text - used, ": %s",
                   inner[0] ? inner : fl_error_words(error));
    return error;
}
