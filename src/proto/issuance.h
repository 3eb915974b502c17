/* SPDX-License-Identifier: Apache-2.0
 *
 * The issuance log on disk: what the signer signed and refused, appended and never changed, in
 * files issued-{number of the first record, 16 hex digits}.seg of records (codec/issued) one behind
 * the other. Records are added to a batch; fl_issuance_commit writes it with one sync, and only
 * then may what they tell of leave the signer. An interrupted write is cut off at the next start,
 * and a record says so; whole records that were once synced are never dropped: damage among them is
 * an error. Reading gives pages of whole frames. No clock, no keys; one owner.
 */
#ifndef FL_PROTO_ISSUANCE_H
#define FL_PROTO_ISSUANCE_H

#include "base/world.h"
#include "codec/issued.h"

struct fl_issuance;

struct fl_issuance_config {
    struct fl_files files;
    uint64_t segment_bytes; /* the next file begins over it; 0: FL_LIMIT_ISSUED_SEGMENT */
    bool read_only;         /* nothing is repaired, add and commit are not for it */
    fl_time_t now;
};

/* What was found at the end of the log. */
struct fl_issuance_tail {
    uint64_t octets;  /* of an interrupted write: cut off, or, read only, passed over */
    uint32_t records; /* whole ones among them, whose certificates never left */
};

/* FL_EIO: a record that was synced is damaged (read only: found when it is read); FL_EAUTH: a
 * record does not follow the one before it. */
FL_MUST_USE enum fl_error fl_issuance_open(const struct fl_issuance_config *config,
                                           struct fl_issuance **log, struct fl_issuance_tail *tail,
                                           struct fl_context *ctx);
void fl_issuance_free(
    struct fl_issuance *log); /* NULL is harmless; what is not committed is lost */

/* Into the batch; seq, batch and prev are filled in. FL_ELIMIT: the batch is full, commit it. */
FL_MUST_USE enum fl_error fl_issuance_add(struct fl_issuance *log, struct fl_issued *record,
                                          struct fl_context *ctx);
/* After a failure the batch stays and is written again by the next commit, before anything else:
 * the records are part of the chain, whatever became of them on disk. FL_EFULL: no space, or
 * FL_LIMIT_ISSUED_SEGMENTS files. */
FL_MUST_USE enum fl_error fl_issuance_commit(struct fl_issuance *log, struct fl_context *ctx);
bool fl_issuance_is_behind(const struct fl_issuance *log); /* a commit failed and is due again */

uint64_t fl_issuance_last(const struct fl_issuance *log); /* number of the last record, 0: none */
/* Number of the last checkpoint in the newest file; 0: none. */
uint64_t fl_issuance_signed(const struct fl_issuance *log);
/* What the next record will hold as `prev`. */
void fl_issuance_head(const struct fl_issuance *log, uint8_t head[FL_ISSUED_HASH]);

/* Where reading goes on. Zero-initialised: at the oldest record that there is. */
struct fl_issuance_place {
    uint64_t after;  /* records behind this one */
    uint64_t offset; /* where the next one begins in its file; a guess is harmless */
    fl_time_t
        since; /* whole files from before may be passed over; earlier records may still come */
};

/* Appends whole frames of committed records to `out`, up to `max` octets of them, and moves
 * `place`. Nothing appended: there are no more. FL_EIO: damage, with file and place. */
FL_MUST_USE enum fl_error fl_issuance_page(struct fl_issuance *log, struct fl_issuance_place *place,
                                           struct fl_buffer *out, size_t max,
                                           struct fl_context *ctx);

/* The number before the first record of the `back`-th file from the end: reading from there on
 * reads the newest `back` files. */
uint64_t fl_issuance_before(const struct fl_issuance *log, size_t back);

#endif
