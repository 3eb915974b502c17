/* SPDX-License-Identifier: Apache-2.0
 *
 * What the front knows of profiles and devices: the hub's word, kept in memory. It answers who may
 * come in and what they may do. A snapshot replaces everything: what it did not name is forgotten
 * when it ends, and until then what was known holds. Pure: no I/O, no clock.
 */
#ifndef FL_FRONT_ROSTER_H
#define FL_FRONT_ROSTER_H

#include "base/list.h"
#include "base/map.h"
#include "codec/msg.h"
#include "codec/profile.h"
#include "trust/cert.h"

struct fl_roster {
    struct fl_map devices;
    struct fl_map profiles;
    uint64_t snapshot; /* grows with each */
    size_t tls12;      /* profiles that allow TLS 1.2 */
    uint64_t epoch;    /* grows with each change: what was learned before may not hold any more */
};

void fl_roster_free(struct fl_roster *roster);

/* What of a device changed; sessions that hold on to it must be looked at again. */
enum fl_roster_change { FL_ROSTER_SAME, FL_ROSTER_CHANGED };

/* Inserts or replaces. FL_EPARSE: the text is not a profile of that name; FL_ENOMEM. */
FL_MUST_USE enum fl_error fl_roster_profile(struct fl_roster *roster,
                                            const struct fl_msg_profile *msg,
                                            struct fl_context *ctx);
/* Inserts or replaces. FL_EINVAL: not a device id; FL_ENOMEM. */
FL_MUST_USE enum fl_error fl_roster_device(struct fl_roster *roster,
                                           const struct fl_msg_device *msg,
                                           enum fl_roster_change *change, struct fl_context *ctx);
void fl_roster_gone(struct fl_roster *roster, struct fl_slice device);

void fl_roster_snapshot_begin(struct fl_roster *roster);
/* Forgets what the snapshot did not name; calls `gone` for each such device, after which it is
 * unknown. */
void fl_roster_snapshot_end(struct fl_roster *roster,
                            void (*gone)(void *self, struct fl_slice device), void *self);

/* May the holder of this certificate come in? X509_V_OK, or the X509_V_ERR_ that makes the right
 * TLS alert, with words. `now` is UTC. */
int fl_roster_judge(const struct fl_roster *roster, const struct fl_cert_info *info, fl_time_t now,
                    struct fl_context *ctx);
/* The same where a certificate that has ended may ask for the next one: that which the hub has
 * named as renewable comes in. */
int fl_roster_judge_ended(const struct fl_roster *roster, const struct fl_cert_info *info,
                          fl_time_t now, struct fl_context *ctx);

bool fl_roster_knows(const struct fl_roster *roster, struct fl_slice device);
/* True if the device's profile allows it TLS 1.2; whether it may connect is not asked. */
bool fl_roster_allows_tls12(const struct fl_roster *roster, struct fl_slice device);

/* True while the device may connect with this credential. */
bool fl_roster_admits(const struct fl_roster *roster, struct fl_slice device,
                      struct fl_slice serial);

/* NULL: the device or its profile is unknown, or it may not connect: it has no rights. The answer
 * holds, and the profile lives, until `epoch` moves. */
const struct fl_profile *fl_roster_profile_of(const struct fl_roster *roster,
                                              struct fl_slice device);
/* Bits of the evidence that holds now; as long as that answer. */
uint8_t fl_roster_grades_of(const struct fl_roster *roster, struct fl_slice device);

/* All profiles in no order: start with NULL; NULL at the end. */
const struct fl_profile *fl_roster_next_profile(const struct fl_roster *roster,
                                                const struct fl_profile *profile);

#endif
