/* SPDX-License-Identifier: Apache-2.0
 *
 * `struct fl_files` on a real folder. Everything goes through a descriptor of the folder, so that
 * it may be moved or the process sandboxed; names with '/' are refused, links are not followed, new
 * files are 0600. The few files used last stay open. No thread safety: one owner.
 */
#ifndef FL_IO_FILES_H
#define FL_IO_FILES_H

#include "base/world.h"

#define FL_FILES_OPEN 4     /* kept open */
#define FL_FILES_LIST 65536 /* names in one folder */
#define FL_FILES_NAME 256   /* with the terminator */

struct fl_files_folder { /* zero-initialised: closed */
    int fd;
    bool is_open;
    struct {
        char name[FL_FILES_NAME]; /* empty: unused */
        int fd;
        bool name_kept; /* its entry in the folder is on stable storage */
    } open[FL_FILES_OPEN];
    size_t turn; /* which of them goes next */
};

/* The folder must exist. FL_ENOTFOUND, FL_EDENIED, FL_EIO. */
FL_MUST_USE enum fl_error fl_files_open(const char *path, struct fl_files_folder *folder,
                                        struct fl_context *ctx);
void fl_files_close(struct fl_files_folder *folder); /* NULL and twice are harmless */

/* Its functions work on `folder`, which must stay where it is. */
struct fl_files fl_files_of(struct fl_files_folder *folder);

#endif
