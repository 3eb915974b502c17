/* SPDX-License-Identifier: Apache-2.0
 *
 * What the hub believes of a device now. Computed from evidence each time, never stored, never
 * edited: the device's state, the validity of its credentials, and what it proved of its boot and
 * its programs (firmware and findings join later). The judgement is pure.
 */
#ifndef FL_SERVICE_POSTURE_H
#define FL_SERVICE_POSTURE_H

#include "service/evidence.h"
#include "service/registry.h"

enum fl_posture_verdict {
    FL_POSTURE_OK,
    FL_POSTURE_NARROWED, /* may connect, but evidence that its profile asks for is not there */
    FL_POSTURE_QUARANTINED,
    FL_POSTURE_REVOKED,
    FL_POSTURE_EXPIRED,
    FL_POSTURE_EXPECTED,
    FL_POSTURE_RETIRED,
    FL_POSTURE_HELD,
    FL_POSTURE_COUNT
};

struct fl_posture {
    enum fl_posture_verdict verdict;
    bool may_connect;
    char reason[FL_LIMIT_REASON + 1]; /* for a person; empty when ok */
    /* Serials that may authenticate the device now, separated by one space. */
    char serials[FL_LIMIT_DEVICE_CERTS * FL_LIMIT_SERIAL_HEX + 1];
    fl_time_t until; /* when it changes by itself, or FL_TIME_NEVER */
    bool has_credential;
    struct fl_credential credential; /* the newest, its state as of now */
    uint8_t grades;                  /* bits of the evidence that holds now (codec/grade.h) */
    fl_time_t evidence_until;        /* when the first of them ends, or FL_TIME_NEVER */
    struct fl_evidence evidence;     /* what it gave last; `at` 0: nothing */
    struct fl_requirement requirement;
};

const char *fl_posture_name(enum fl_posture_verdict verdict);
/* FL_POSTURE_COUNT when it is none. */
enum fl_posture_verdict fl_posture_of_name(const char *name);

/* `live` are the device's live credentials, the newest last; `newest` is the newest ever or NULL.
 */
void fl_posture_judge(const struct fl_device *device, const struct fl_credential *live,
                      size_t count, const struct fl_credential *newest, fl_time_t now,
                      struct fl_posture *posture);

/* What its evidence makes of a posture that is judged otherwise. */
void fl_posture_weigh(const struct fl_evidence *evidence, const struct fl_requirement *requirement,
                      fl_time_t now, struct fl_posture *posture);

/* Fetches credentials and evidence and judges. */
FL_MUST_USE enum fl_error fl_posture_of(const struct fl_store *store,
                                        const struct fl_device *device, fl_time_t now,
                                        struct fl_posture *posture, struct fl_context *ctx);

#endif
