/* SPDX-License-Identifier: Apache-2.0 */
#include "service/pcrs_json.h"

#include "base/str.h"
#include "service/document.h"

#include <stdio.h>

#define PCR_HEX (2 * FL_PCR_SIZE + 1)

json_t *fl_pcrs_to_json(const struct fl_pcrs *pcrs)
{
    json_t *object = json_object();
    char number[8];
    char hex[PCR_HEX];

    for (unsigned i = 0; i < FL_LIMIT_PCRS; i++) {
        if (!(pcrs->present & 1U << i))
            continue;
        (void)snprintf(number, sizeof number, "%u", i);
        fl_hex(hex, sizeof hex, fl_slice(pcrs->value[i], FL_PCR_SIZE));
        (void)json_object_set_new(object, number, json_string(hex));
    }
    return object;
}

void fl_pcrs_from_json(const json_t *object, struct fl_pcrs *pcrs)
{
    char number[8];
    char hex[PCR_HEX];
    size_t size = 0;

    *pcrs = (struct fl_pcrs){0};
    for (unsigned i = 0; i < FL_LIMIT_PCRS; i++) {
        (void)snprintf(number, sizeof number, "%u", i);
        fl_document_str(object, number, hex, sizeof hex);
        if (hex[0] && fl_unhex(pcrs->value[i], FL_PCR_SIZE, fl_slice_str(hex), &size) == FL_OK)
            pcrs->present |= 1U << i;
    }
}
