/* SPDX-License-Identifier: Apache-2.0
 *
 * `device add` and `device token`: both end with a token that is shown as text and as a QR code,
 * with the command that the device needs.
 */
#ifndef FL_CLI_DEVICE_ADD_H
#define FL_CLI_DEVICE_ADD_H

#include "cli/cli.h"

FL_MUST_USE enum fl_error fl_device_run_add(struct fl_cli *cli, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_device_run_token(struct fl_cli *cli, struct fl_context *ctx);

/* Whether the word after --qr is its file: it ends in .png or .svg. */
bool fl_device_is_qr_file(const char *word);

#endif
