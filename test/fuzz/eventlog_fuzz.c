/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a boot log: refused with words, or a bounded number of events that lead to PCRs, and
 * to the same ones each time.
 */
#include "trust/eventlog.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_event_log first;
    struct fl_event_log second;
    struct fl_context ctx = {0};

    if (fl_event_log_replay(fl_slice(data, size), &first, &ctx) != FL_OK) {
        if (ctx.text[0] == '\0')
            abort();
        return 0;
    }
    if (fl_event_log_replay(fl_slice(data, size), &second, &ctx) != FL_OK ||
        memcmp(&first, &second, sizeof first) != 0 || first.events > FL_LIMIT_EVENT_LOG_EVENTS ||
        (first.pcrs.present & 0xFF) != 0xFF || first.pcrs.present >> FL_LIMIT_PCRS)
        abort();
    return 0;
}
