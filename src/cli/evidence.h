/* SPDX-License-Identifier: Apache-2.0
 *
 * `fairlead device evidence`, `reference` and `tpm`, and the lines of `device show` about them.
 */
#ifndef FL_CLI_EVIDENCE_H
#define FL_CLI_EVIDENCE_H

#include "cli/api.h"

/* Of a device's `evidence`; nothing from a hub of an older version. */
void fl_evidence_lines(struct fl_buffer *out, const json_t *evidence);

extern const struct fl_cli_option fl_evidence_reference_options[];
extern const struct fl_cli_option fl_evidence_tpm_options[];
FL_MUST_USE enum fl_error fl_evidence_run_show(struct fl_cli *cli, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_evidence_run_reference(struct fl_cli *cli, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_evidence_run_tpm(struct fl_cli *cli, struct fl_context *ctx);

#endif
