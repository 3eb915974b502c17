/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside proto/journal: what journal.c (writing), journal_space.c (segments, chores, checkpoints)
 * and journal_read.c (recovery) share. Nobody else includes this.
 */
#ifndef FL_PROTO_JOURNAL_INTERNAL_H
#define FL_PROTO_JOURNAL_INTERNAL_H

#include "proto/journal_disk.h"

#define JOURNAL_FILE_MAX ((uint64_t)256 << 20) /* a larger one is none of ours */

enum journal_state {
    JOURNAL_FREE,       /* nothing of worth; to be used again */
    JOURNAL_READY,      /* the next one: made, no header of its own yet */
    JOURNAL_LIVE,       /* has a header of its own; the last one is written to */
    JOURNAL_UNREADABLE, /* something that is not ours to judge; kept until a checkpoint passed it */
};

struct journal_segment {
    enum journal_state state;
    uint64_t sequence; /* by its name */
    uint64_t size;
    uint64_t last;  /* number of the last block written to it that still counts; 0: none */
    uint64_t bound; /* recovery: blocks from this number on are void */
    struct fl_journal_header header;
};

/* A checkpoint, as its last block states it. */
struct journal_base {
    bool tight; /* there was little room when it began: owners add little to it then */
    uint64_t sequence;
    uint64_t block;  /* number of the first block of that segment */
    uint64_t size;   /* bytes appended from its beginning to its end */
    uint64_t marker; /* number of its last block; 0: as a header states it */
};

struct fl_journal {
    struct fl_files files;
    struct fl_random random;
    uint8_t key[FL_SEAL_KEY];
    uint32_t segment_bytes;
    uint64_t max_bytes;
    bool retain;
    bool replayed;

    struct journal_segment *segments; /* by sequence */
    size_t count;
    size_t capacity;

    bool writing;         /* the last live segment is open for appends */
    bool spoiled;         /* but a write failed: the next append begins another */
    bool rewriting;       /* blocks after `durable` are yet to be written again */
    struct fl_seal *seal; /* of the segment that is written to */
    uint64_t offset;
    struct fl_buffer scratch; /* one block as it goes to disk */

    uint64_t last;    /* number of the last block; the first is 1 */
    uint64_t durable; /* blocks up to it are on stable storage */
    uint64_t synced;  /* the same, but for the segments up to `tainted` */
    uint64_t tainted; /* without `retain`: a sync of this segment or an older one failed; 0: none */
    uint64_t attempt; /* counts failed syncs: what was named before does not count after */
    uint64_t rewrites;
    struct fl_buffer retained; /* blocks after `durable`: struct journal_kept and text, each */

    struct journal_base base;    /* where replay begins */
    struct journal_base pending; /* a checkpoint under way; sequence 0: none */
    struct journal_base ended;   /* complete, not yet durable; sequence 0: none */
    uint64_t since_checkpoint;
    bool must_checkpoint;

    bool chore; /* somebody is at it */
    bool full;  /* the last segment could not be made */

    struct fl_journal_stats found; /* by recovery: only those fields */
};

struct journal_kept {
    uint64_t number;
    uint32_t size;
    uint32_t kind;
};

/* journal_space.c */
struct journal_segment *fl_journal_segment(struct fl_journal *j, uint64_t sequence); /* or NULL */
/* The segment that is written to; only while `writing`. */
struct journal_segment *fl_journal_current(struct fl_journal *j);
FL_MUST_USE enum fl_error fl_journal_add_segment(struct fl_journal *j,
                                                 const struct journal_segment *segment,
                                                 struct fl_context *ctx);
/* Segments that replay does not need any more become free. */
void fl_journal_free_segments(struct fl_journal *j);
/* A segment with a header of its own is open for appends; its first block will be `first`.
 * `reserve`: it may take what is kept for checkpoints. */
FL_MUST_USE enum fl_error fl_journal_roll(struct fl_journal *j, uint64_t first, bool reserve,
                                          struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_journal_derive(struct fl_journal *j,
                                            const struct fl_journal_header *header,
                                            struct fl_seal **seal, struct fl_context *ctx);
/* journal.c */
FL_MUST_USE enum fl_error fl_journal_put(struct fl_journal *j, enum fl_journal_kind kind,
                                         struct fl_slice text, uint64_t *number,
                                         struct fl_context *ctx);
/* journal_read.c */
FL_MUST_USE enum fl_error fl_journal_recover(struct fl_journal *j, struct fl_context *ctx);

#endif
