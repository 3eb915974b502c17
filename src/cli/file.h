/* SPDX-License-Identifier: Apache-2.0
 *
 * Small files of the operator: read whole with a bound, written atomically. Paths are made of a
 * folder and a name. Errors say the path and the system's words.
 */
#ifndef FL_CLI_FILE_H
#define FL_CLI_FILE_H

#include "base/buffer.h"

#include <sys/types.h>

#define FL_CLI_PATH_MAX 4096

/* "folder/name"; FL_ELIMIT when too long. */
FL_MUST_USE enum fl_error fl_file_path(char to[FL_CLI_PATH_MAX], const char *folder,
                                       const char *name, struct fl_context *ctx);

/* "-" is stdin. FL_ENOTFOUND, FL_EDENIED, FL_ELIMIT (more than the buffer's maximum), FL_EIO. */
FL_MUST_USE enum fl_error fl_file_read(const char *path, struct fl_buffer *out,
                                       struct fl_context *ctx);

/* Replaces the file as one step and makes it durable; the new file has `mode`, whatever the umask.
 */
FL_MUST_USE enum fl_error fl_file_write(const char *path, mode_t mode, struct fl_slice data,
                                        struct fl_context *ctx);

/* Makes the folder and those above it, new ones 0700. */
FL_MUST_USE enum fl_error fl_file_make_folder(const char *path, struct fl_context *ctx);

/* The error for errno, with words: "PATH: no such file or directory". */
enum fl_error fl_file_fail(struct fl_context *ctx, const char *path, int number);

#endif
