/* SPDX-License-Identifier: Apache-2.0
 *
 * PCRs in documents: {"0": "hex", ...}.
 */
#ifndef FL_SERVICE_PCRS_JSON_H
#define FL_SERVICE_PCRS_JSON_H

#include "codec/evidence.h"

#include <jansson.h>

json_t *fl_pcrs_to_json(const struct fl_pcrs *pcrs);
void fl_pcrs_from_json(const json_t *object, struct fl_pcrs *pcrs);

#endif
