/* SPDX-License-Identifier: Apache-2.0
 *
 * The durable queue between what a device measures and what the hub has acknowledged. Records are
 * numbered from 1 in the order of appending and kept in segment files until acknowledged; they
 * survive kill -9 and power loss once fl_outbox_sync has returned FL_OK (many appends, one sync:
 * group commit). Only such records are given out, so what was sent is never forgotten. A torn tail
 * is cut at the next open. Sending again what was acknowledged just before a power cut is possible
 * and harmless: the hub recognises it.
 *
 * Bounded: when a record does not fit into max_bytes, the oldest segment is dropped and its
 * unacknowledged records are counted in `dropped`; what storage lost is counted in `damaged`. Both
 * survive restarts. The world is `struct fl_files`, which must outlive the outbox; no clock.
 */
#ifndef FL_PROTO_OUTBOX_H
#define FL_PROTO_OUTBOX_H

#include "base/limits.h"
#include "base/world.h"

struct fl_outbox;

struct fl_outbox_options {
    uint64_t max_bytes;     /* on disk; 0: FL_LIMIT_OUTBOX_BYTES; at least 4 segments */
    uint32_t segment_bytes; /* 0: FL_LIMIT_OUTBOX_SEGMENT; bounds a record, too */
};

struct fl_outbox_stats {
    uint64_t first;      /* the oldest record still owed */
    uint64_t durable;    /* records below this number are on stable storage and can be read */
    uint64_t next;       /* the number of the next record */
    uint64_t bytes;      /* on disk */
    uint64_t segments;   /* files */
    uint64_t dropped;    /* ever: given up to stay within bounds, or because a sync failed */
    uint64_t damaged;    /* ever: lost by the storage after they were synced */
    uint64_t torn_bytes; /* cut off at the end when it was opened: never synced, or damage */
};

/* Where a reader stands. Zero-initialised it stands at the oldest record owed; copy it to come back
 * to a place. It stays valid whatever happens: from what is gone it moves on to what is there. */
struct fl_outbox_cursor {
    uint64_t next;    /* number of the record it reads next; 0: the oldest owed */
    uint64_t segment; /* a hint where that is */
    uint64_t offset;
};

/* Opens, recovers and syncs what is there. `options` may be NULL. Other names in the folder are
 * left alone. FL_EINVAL: options; FL_ELIMIT: too many segments; FL_EIO, FL_EFULL. */
FL_MUST_USE enum fl_error fl_outbox_open(const struct fl_files *files,
                                         const struct fl_outbox_options *options,
                                         struct fl_outbox **outbox, struct fl_context *ctx);
/* Notes the acknowledgements on disk; does not sync records. NULL is harmless. */
void fl_outbox_close(struct fl_outbox *outbox);

/* FL_ELIMIT: over FL_LIMIT_OUTBOX_RECORD or a segment; FL_EFULL: the disk is full, nothing changed.
 * `sequence` may be NULL; the number is final once the record is synced. */
FL_MUST_USE enum fl_error fl_outbox_append(struct fl_outbox *outbox, struct fl_slice record,
                                           uint64_t *sequence, struct fl_context *ctx);

/* Everything appended is on stable storage when it returns FL_OK; cheap when nothing is new.
 * Otherwise the records since the last sync are given up and counted in `dropped`: after a failed
 * sync nobody knows what the disk holds of them. */
FL_MUST_USE enum fl_error fl_outbox_sync(struct fl_outbox *outbox, struct fl_context *ctx);

/* Replaces the contents of `record` (its max: FL_LIMIT_OUTBOX_RECORD) with the next durable record
 * and moves the cursor on. FL_ENOTFOUND: no more for now. */
FL_MUST_USE enum fl_error fl_outbox_read(struct fl_outbox *outbox, struct fl_outbox_cursor *cursor,
                                         uint64_t *sequence, struct fl_buffer *record,
                                         struct fl_context *ctx);

/* Every durable record up to and with `sequence` is acknowledged: it is not given out any more and
 * its space is freed a segment at a time. Lower numbers than before are harmless. An error means
 * that the disk could not note it: it is tried again with the next call. */
FL_MUST_USE enum fl_error fl_outbox_acknowledge(struct fl_outbox *outbox, uint64_t sequence,
                                                struct fl_context *ctx);

struct fl_outbox_stats fl_outbox_stats(const struct fl_outbox *outbox);

#endif
