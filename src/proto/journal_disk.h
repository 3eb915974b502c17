/* SPDX-License-Identifier: Apache-2.0
 *
 * What the journal puts on disk, as bytes; only proto/journal uses it. Little endian.
 *
 *     log-{sequence, 16 hex digits}.seg    a header at 0 and the same again at 4096, blocks from
 * 8192
 *
 * A block is a header of 32 octets, the sealed text with its tag, and zeros up to the next multiple
 * of 16. Its header's checksum also covers the segment's number and salt, so that what an earlier
 * use of the file left behind is not taken for a block.
 */
#ifndef FL_PROTO_JOURNAL_DISK_H
#define FL_PROTO_JOURNAL_DISK_H

#include "base/buffer.h"
#include "proto/journal.h"

#define FL_JOURNAL_HEADER_SIZE 128
#define FL_JOURNAL_HEADER_SIGNED 88 /* octets of it that `check` seals */
#define FL_JOURNAL_HEADER_STEP 4096
#define FL_JOURNAL_DATA 8192 /* where blocks begin */
#define FL_JOURNAL_SALT 32
#define FL_JOURNAL_BLOCK_HEADER 32
#define FL_JOURNAL_ALIGN 16

struct fl_journal_header {
    uint64_t sequence;   /* also the file's name */
    uint64_t base;       /* sequence of the first segment needed, as known when this was made */
    uint64_t base_block; /* number of that segment's first block */
    uint64_t first;      /* number of the first block here; blocks from it on in older segments
                          * are void */
    uint8_t salt[FL_JOURNAL_SALT];
    uint8_t check[FL_SEAL_TAG]; /* by the segment's key */
};

enum fl_journal_kind {
    FL_JOURNAL_RECORDS = 1,
    FL_JOURNAL_CHECKPOINT = 2, /* text: base, base_block, size of the checkpoint: 8 octets each */
    FL_JOURNAL_NOTE = 3,       /* no text; only for its `durable` */
};
#define FL_JOURNAL_CHECKPOINT_SIZE 24

struct fl_journal_block {
    uint32_t size; /* of the plain text */
    uint32_t kind; /* enum fl_journal_kind */
    uint64_t number;
    uint64_t durable; /* blocks up to this number were on stable storage when it was written */
};

void fl_journal_name(char to[FL_JOURNAL_NAME_MAX], uint64_t sequence);
bool fl_journal_name_parse(const char *name, uint64_t *sequence);

void fl_journal_header_encode(const struct fl_journal_header *header,
                              uint8_t to[FL_JOURNAL_HEADER_SIZE]);
/* FL_EPARSE: not a whole header; FL_EUNSUPPORTED: a whole one of another version. */
FL_MUST_USE enum fl_error fl_journal_header_decode(const uint8_t from[FL_JOURNAL_HEADER_SIZE],
                                                   struct fl_journal_header *header);

/* Octets that a block with so much text takes. */
uint64_t fl_journal_block_size(uint64_t text);
void fl_journal_block_encode(const struct fl_journal_block *block,
                             const struct fl_journal_header *segment,
                             uint8_t to[FL_JOURNAL_BLOCK_HEADER]);
bool fl_journal_block_decode(const uint8_t from[FL_JOURNAL_BLOCK_HEADER],
                             const struct fl_journal_header *segment,
                             struct fl_journal_block *block);
/* For the number within the segment, which is what a nonce must not repeat. */
void fl_journal_nonce(uint64_t index, uint8_t to[FL_SEAL_NONCE]);
/* What is sealed beside the text: the block's header and the segment's number. */
#define FL_JOURNAL_BINDING (FL_JOURNAL_BLOCK_HEADER + 8)
void fl_journal_binding(const uint8_t block[FL_JOURNAL_BLOCK_HEADER], uint64_t sequence,
                        uint8_t to[FL_JOURNAL_BINDING]);

void fl_journal_checkpoint_encode(uint64_t base, uint64_t base_block, uint64_t size,
                                  uint8_t to[FL_JOURNAL_CHECKPOINT_SIZE]);
void fl_journal_checkpoint_decode(const uint8_t from[FL_JOURNAL_CHECKPOINT_SIZE], uint64_t *base,
                                  uint64_t *base_block, uint64_t *size);

/* Walks over the block headers of a segment's bytes: the next one at or behind `offset` that is
 * whole, fits, and whose number is not below `number`. Whether its text opens is for the caller,
 * who sets `offset` behind it when it does, and 16 octets on when it does not. */
struct fl_journal_walk {
    struct fl_slice image;
    const struct fl_journal_header *segment;
    uint64_t offset;
    uint64_t number; /* lowest that may follow */
};
bool fl_journal_walk(struct fl_journal_walk *walk, struct fl_journal_block *block);

#endif
