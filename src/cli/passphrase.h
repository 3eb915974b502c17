/* SPDX-License-Identifier: Apache-2.0
 *
 * A new passphrase, from the first line of a file or typed twice on the terminal ("-"), unseen.
 */
#ifndef FL_CLI_PASSPHRASE_H
#define FL_CLI_PASSPHRASE_H

#include "base/error.h"

#define FL_PASSPHRASE_MIN 8
#define FL_PASSPHRASE_MAX 1000

struct fl_passphrase {
    char text[FL_PASSPHRASE_MAX + 2]; /* wipe it after use */
};

/* `what` is the word for what it will seal. FL_EINVAL: too short, too long, not the same twice;
 * FL_ECLOSED: cancelled; FL_EIO, FL_ENOTFOUND: no such file, no terminal. */
FL_MUST_USE enum fl_error fl_passphrase_new(const char *source, const char *what,
                                            struct fl_passphrase *passphrase,
                                            struct fl_context *ctx);

#endif
